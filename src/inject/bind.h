/* Puts a single thing of the host into a container's root file system. Sources are on the host: they are
 * checked through their descriptor and cloned as detached mounts, in the mount namespace that sees the host's
 * paths. Targets are found inside the root file system, which is hostile: no link at the last component is
 * followed, and the mount goes onto what was opened. */
#pragma once

#include <stdbool.h>

struct nvl_node;
struct nvl_root;

/* The folder of the previous device node: nodes mostly share one. */
struct nvl_bind_folder {
    char path[48]; /* "/dev"; "" for none */
    int fd;        /* O_PATH, or why it cannot be opened */
};
#define NVL_BIND_FOLDER_NONE ((struct nvl_bind_folder){.fd = -1})
void nvl_bind_folder_close(struct nvl_bind_folder *folder);

/* A detached copy of the host's device node, whose number must be the expected one: nosuid, noexec, private.
 * If the folder `copies` (nvl_node_copies_open; -1 for none) has the container's own copy, that one instead.
 * -ENODEV: not that device on the host. The caller closes it. */
int nvl_bind_open_node(const struct nvl_root *host, int copies, struct nvl_bind_folder *folder,
                       const struct nvl_node *node, bool *is_copy);
/* Moves it to the same path in the container; a copy covers the host's own node, and in a container that runs
 * replaces an earlier copy with other rights. 1 if the container already has that device there. -EEXIST:
 * something else is there. */
int nvl_bind_put_node(const struct nvl_root *rootfs, struct nvl_bind_folder *folder,
                      const struct nvl_node *node, int mount_fd, bool is_running);
/* Unmounts what is mounted on that name. The kernel resolves the name once more, but in an open folder:
 * whatever the container puts there meanwhile is its own. Programs that have it open keep it. */
int nvl_bind_unmount(int folder, const char *name);

/* Whether the root file system already has the node, with the right number. */
bool nvl_bind_has_node(const struct nvl_root *rootfs, const struct nvl_node *node);
/* Whether two descriptors refer to the same file, so that one is a mount of the other. */
bool nvl_bind_is(int fd, int other);
/* Whether `fd` refers to the root of a mount. */
bool nvl_bind_is_mount(int fd);
