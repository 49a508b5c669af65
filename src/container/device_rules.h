/* The device filter that LXC makes of a config: its rules one by one, as liblxc gives them to the kernel. A
 * grant needs rules of its own only if they are an allow-list. */
#pragma once

#include "container/effective.h"

enum nvl_device_filter {
    NVL_FILTER_NONE,  /* everything opens: write no rule, since the first would deny all the rest */
    NVL_FILTER_ALLOW, /* an allow-list: the grant's nodes need rules */
    NVL_FILTER_DENY,  /* a deny-list (`allow = a`): rules would have no effect */
};

struct nvl_device_rule {
    bool allows;
    char *value; /* "c 195:* rwm", "/dev/nvidia0 rw" */
};

struct nvl_device_rules {
    struct nvl_device_rule *items; /* those in force, in their order: the last match decides */
    size_t count;
    bool allows_rest; /* the answer if none of them matches */
};

/* A container that a user runs has none: liblxc makes filters for root only. `without_ours` leaves out
 * nvlxc's own rules, including dev[n] entries: the filter before a grant adds to it. */
void nvl_device_rules_read(const struct nvl_container *c, const struct nvl_effective *effective,
                           bool without_ours, struct nvl_device_rules *rules);
void nvl_device_rules_clear(struct nvl_device_rules *rules);
/* Whether the node can be opened for reading and writing. */
bool nvl_device_rules_allow(const struct nvl_device_rules *rules, const char *path, int major, int minor);
/* The kind of filter without nvlxc's own rules. */
enum nvl_device_filter nvl_device_filter(const struct nvl_container *c,
                                         const struct nvl_effective *effective);

/* Whether a rule's value allows reading and writing this device. */
bool nvl_device_rule_matches(const char *value, const char *path, int major, int minor);
/* The major of "c 506:* rwm"; -1 for every other value. */
int nvl_device_rule_major(const char *value);
