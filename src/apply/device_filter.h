/* The device filter of a running container: changed by LXC's own tool, since LXC keeps the list. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct nvl_container;
struct nvl_device;
struct nvl_root;
struct nvl_strv;

/* Whether a filter hangs on the cgroup of its init, or above. Where none does, a first rule would make one
 * that denies all else, /dev/null too. */
bool nvl_filter_in_force(const struct nvl_root *root, pid_t init);

/* "allow" or "deny" for each device, to be read and written. A line of `problems` for what LXC refuses. */
void nvl_rules_change(const struct nvl_container *c, const char *verb, const struct nvl_device *devices,
                      size_t count, struct nvl_strv *problems);
