/* Who else makes device nodes in a container: mount entries, Proxmox's dev[n] entries, and hooks that make
 * them with mknod, in their own words or in a script. liblxc carries out mount entries first, then mount
 * hooks, then autodev hooks, of which Proxmox's, for dev[n], is the first. A path that exists by then stops
 * the start: mknod answers EEXIST, and liblxc gives up when a hook fails. */
#pragma once

#include "container/effective.h"

enum nvl_node_maker_kind { /* in the order in which they come */
                           NVL_MADE_BY_ENTRY,
                           NVL_MADE_BY_MOUNT_HOOK,
                           NVL_MADE_BY_DEV,
                           NVL_MADE_BY_AUTODEV_HOOK,
};

struct nvl_node_maker {
    enum nvl_node_maker_kind kind;
    size_t setting; /* index in the effective config */
    char *path;     /* in the container: "/dev/nvidia0"; with "*" at the end if only its beginning is known */
    bool is_folder; /* a mount entry of a folder: everything in it */
};

struct nvl_node_makers {
    struct nvl_node_maker *items;
    size_t count;
};

/* Those below the container's /dev, in the order in which they come. Leaves out nvlxc's start hook. Without a
 * root no script is read. */
void nvl_node_makers_find(const struct nvl_root *root, const struct nvl_effective *effective,
                          struct nvl_node_makers *makers);
void nvl_node_makers_clear(struct nvl_node_makers *makers);
/* Whether it makes this path, or mounts a folder that may have it already. */
bool nvl_node_maker_makes(const struct nvl_node_maker *maker, const char *path);
/* The first maker before `makers->items[i]` whose path makes it fail; NULL for none. */
const struct nvl_node_maker *nvl_node_maker_before(const struct nvl_node_makers *makers, size_t i);

/* The paths below the container's /dev that a hook makes, by its value; "*" at the end as above. Without a
 * root only its own words count. */
void nvl_hook_nodes(const struct nvl_root *root, const char *value, struct nvl_strv *paths);
/* Whether a hook of the config makes NVIDIA's nodes in the container, in its own words or in the script that
 * it runs. Without a root only its own words count. The scripts of LXC's own packages are not read. */
bool nvl_hook_makes_nvidia(const struct nvl_root *root, const char *key, const char *value);
