/* Whether the device rules of a config, with its includes, let a node be opened: the rules one by one, as
 * liblxc gives them to the kernel. container/device_rules.h says what kind of list they make. */
#pragma once

#include "doctor/facts.h"

#define NVL_KEY_ALLOW "lxc.cgroup2.devices.allow"

struct nvl_rule {
    bool allows;
    char *value; /* "c 195:* rwm", "/dev/nvidia0 rw" */
};

struct nvl_rules {
    struct nvl_rule *items; /* those in force, in their order: the last that matches decides */
    size_t count;
    bool allows_rest; /* what none of them matches */
};

/* -EINVAL where the includes cannot be read; then there are no rules. */
int nvl_rules_read(const struct nvl_container_facts *facts, struct nvl_rules *rules);
void nvl_rules_clear(struct nvl_rules *rules);

/* Whether one rule's value means this device: reading and writing it. */
bool nvl_rule_matches(const char *value, const char *path, int major, int minor);
/* Whether it can be opened for reading and writing. */
bool nvl_rules_allow(const struct nvl_rules *rules, const char *path, int major, int minor);
/* Whether the line is in force, and allows devices. */
bool nvl_is_allow_rule(const struct nvl_line *line);
/* The major of "c 506:* rwm"; -1 for every other value. */
int nvl_rule_major(const char *value);
