/* The host's ids behind a container's: from the lxc.idmap lines in force; Proxmox's `unprivileged: 1` is
 * 0 100000 65536. */
#pragma once

#include "container/effective.h"

/* One lxc.idmap line: "u 0 100000 65536". */
struct nvl_mapping {
    char kind; /* 'u', 'g' */
    unsigned inside, outside, count;
};
/* False if it is none. */
bool nvl_mapping_parse(const char *value, struct nvl_mapping *mapping);

/* The kernel takes 340 lines of each kind: UID_GID_MAP_MAX_EXTENTS. */
#define NVL_IDMAP_KIND_MAX 340
struct nvl_idmap {
    bool privileged;     /* no mapping: its root is the host's */
    unsigned uid0, gid0; /* the host's uid and gid of the container's root */
    struct nvl_mapping items[2 * NVL_IDMAP_KIND_MAX];
    size_t count;
};

/* -EINVAL for a line that is not a mapping, and if the lines map no user or no group for the container's
 * root: LXC does not start it then. */
int nvl_idmap_read(const struct nvl_effective *effective, struct nvl_idmap *map, struct nvl_error *err);

/* Translates one id, by all lines. `kind` is 'u' or 'g'. False if the map has none for it: the kernel shows
 * such an id as nobody's inside, and refuses one that is unknown outside. */
bool nvl_idmap_outside(const struct nvl_idmap *map, char kind, unsigned inside, unsigned *outside);
bool nvl_idmap_inside(const struct nvl_idmap *map, char kind, unsigned outside, unsigned *inside);
