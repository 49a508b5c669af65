/* A container's own device nodes: /dev/nvlxc/NAME/renderD128 on the host. The host keeps some nodes to a
 * group of its own (udev /dev/dri, the driver with another NVreg_DeviceFileMode), in which nobody in a
 * container is. So the container gets copies that belong to its root and to its own group, and the host's
 * stay as they are. They are made on devtmpfs before the container starts, and only its root may enter the
 * folder; there are never more than one start leaves. */
#pragma once

#include <sys/types.h>

#include "host/node.h"

/* Whether the host's node, looked at, is one that an owner or a group alone may use. MIG's capability nodes
 * are for reading, and the driver's. */
bool nvl_node_is_closed(const struct nvl_node *node);

/* As the host's root: the folder holds the closed ones of `nodes` and nothing else, with the host's mode and
 * the container's root (host ids) as owner; no folder where none is closed. What cannot be made is said in
 * `problems`. */
void nvl_own_nodes_make(const struct nvl_root *root, const char *container, uid_t uid, gid_t gid,
                        const struct nvl_node *nodes, size_t n_nodes, struct nvl_strv *problems);
void nvl_own_nodes_remove(const struct nvl_root *root, const char *container);
/* The folder, for nvl_own_node_open; -ENOENT where the container has none. */
int nvl_own_nodes_open(const struct nvl_root *root, const char *container);
/* O_PATH descriptor of the container's own copy; -ENOENT where the host's is the one to take. */
int nvl_own_node_open(int folder, const struct nvl_node *node);
/* The container's group that a node of this kind is for: "render", where it has that and the node is one for
 * rendering, else "video". *gid is its number as the container counts, if it has it; else false. */
bool nvl_own_node_group(const struct nvl_root *rootfs, const struct nvl_node *node, const char **name,
                        unsigned *gid);
