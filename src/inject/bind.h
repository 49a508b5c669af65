/* Putting one thing of the host into a container's root file system. Sources are the host's, checked through
 * their descriptor and cloned as detached mounts, in the mount namespace that the host's paths are seen in;
 * targets are found inside the root file system, which is hostile: no link at the last component is followed,
 * and what is mounted on is what was opened. */
#pragma once

#include <stdbool.h>

struct nvl_node;
struct nvl_root;

/* The folder of device nodes that the last one was in: nodes mostly share one. */
struct nvl_bind_folder {
    char path[48]; /* "/dev"; "" for none */
    int fd;        /* O_PATH, or why it cannot be opened */
};
#define NVL_BIND_FOLDER_NONE ((struct nvl_bind_folder){.fd = -1})
void nvl_bind_folder_close(struct nvl_bind_folder *folder);

/* A detached copy of the host's device node, whose number must be the expected one: nosuid, noexec, private.
 * Of the container's own copy, where it is in the folder `copies` (nvl_node_copies_open; -1 for none).
 * -ENODEV: not that device on the host. The caller closes it. */
int nvl_bind_open_node(const struct nvl_root *host, int copies, struct nvl_bind_folder *folder,
                       const struct nvl_node *node, bool *is_copy);
/* Moves it to the same path in the container. 1 where the container has that device there already. -EEXIST:
 * something else stands there. */
int nvl_bind_put_node(const struct nvl_root *rootfs, struct nvl_bind_folder *folder,
                      const struct nvl_node *node, int mount_fd);

/* Whether the node is in the root file system already, with the number that it should have. */
bool nvl_bind_has_node(const struct nvl_root *rootfs, const struct nvl_node *node);
/* Whether two descriptors refer to the same file: so one is a mount of the other. */
bool nvl_bind_is(int fd, int other);
/* Whether `fd` refers to the root of a mount. */
bool nvl_bind_is_mount(int fd);
