/* The host's ids behind a container's: from the lxc.idmap lines in force; Proxmox's `unprivileged: 1` is
 * 0 100000 65536. */
#pragma once

#include "container/effective.h"

struct nvl_idmap {
    bool privileged;     /* no mapping: its root is the host's */
    unsigned uid0, gid0; /* the host's uid and gid of the container's root */
};

/* One lxc.idmap line: "u 0 100000 65536". */
struct nvl_mapping {
    char kind; /* 'u', 'g' */
    unsigned inside, outside, count;
};
/* False if it is none. */
bool nvl_mapping_parse(const char *value, struct nvl_mapping *mapping);

/* -EINVAL for a line that is not a mapping, and if the lines map no user or no group for the container's
 * root. */
int nvl_idmap_read(const struct nvl_effective *effective, struct nvl_idmap *map, struct nvl_error *err);
