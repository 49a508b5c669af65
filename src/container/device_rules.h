/* The device filter that LXC makes of a config: its rules one by one, as liblxc gives them to the kernel.
 * Only where they are an allow-list does a grant need rules of its own. */
#pragma once

#include "container/effective.h"

enum nvl_device_filter {
    NVL_FILTER_NONE,  /* everything opens: no rule may be written, the first would deny all the rest */
    NVL_FILTER_ALLOW, /* an allow-list: the grant's nodes need rules */
    NVL_FILTER_DENY,  /* a deny-list (`allow = a`): rules would do nothing */
};

struct nvl_device_rule {
    bool allows;
    char *value; /* "c 195:* rwm", "/dev/nvidia0 rw" */
};

struct nvl_device_rules {
    struct nvl_device_rule *items; /* those in force, in their order: the last that matches decides */
    size_t count;
    bool allows_rest; /* what none of them matches */
};

/* A container that a user runs has none: liblxc makes filters for root only. With `without_ours` nvlxc's own
 * rules are left out, dev[n] entries among them: what the filter is before a grant adds to it. */
void nvl_device_rules_read(const struct nvl_container *c, const struct nvl_effective *effective,
                           bool without_ours, struct nvl_device_rules *rules);
void nvl_device_rules_clear(struct nvl_device_rules *rules);
/* Whether the node can be opened for reading and writing. */
bool nvl_device_rules_allow(const struct nvl_device_rules *rules, const char *path, int major, int minor);
/* Which kind of filter it is without nvlxc's own rules. */
enum nvl_device_filter nvl_device_filter(const struct nvl_container *c,
                                         const struct nvl_effective *effective);

/* Whether one rule's value means this device: reading and writing it. */
bool nvl_device_rule_matches(const char *value, const char *path, int major, int minor);
/* The major of "c 506:* rwm"; -1 for every other value. */
int nvl_device_rule_major(const char *value);
