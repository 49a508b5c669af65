/* A container's own device nodes: /dev/nvlxc/NAME/renderD128 on the host. The host keeps some nodes to a
 * group of its own (udev /dev/dri, the driver with another NVreg_DeviceFileMode), in which nobody in a
 * container is. So the container gets copies that belong to its root and to its own group, and the host's
 * stay as they are. They are made on devtmpfs before the container starts, and only its root may enter the
 * folder; there are never more than one start leaves. */
#pragma once

#include <sys/types.h>

#include <stdbool.h>

struct nvl_grant;
struct nvl_host;
struct nvl_node;
struct nvl_resolved;
struct nvl_root;
struct nvl_strv;

/* Whether there is one among the nodes, which were looked at, that only its owner or a group may use. MIG's
 * capability nodes are the driver's, and for reading. */
bool nvl_node_copies_are_needed(const struct nvl_resolved *resolved);
/* The nodes of the grant, each looked at, and that answer. */
bool nvl_node_copies_find(const struct nvl_host *host, const struct nvl_grant *grant,
                          struct nvl_resolved *resolved);
/* As the host's root: the folder holds a copy of each such node and nothing else; with the host's mode, and
 * the container's root (host ids) as owner. What cannot be made is said in `problems`. */
void nvl_node_copies_make(const struct nvl_root *root, const struct nvl_resolved *resolved,
                          const char *container, uid_t uid, gid_t gid, struct nvl_strv *problems);
/* For a container that needs none. */
void nvl_node_copies_remove(const struct nvl_root *root, const char *container);
/* The folder, O_PATH: its nodes have the names that they have in theirs. -ENOENT where the container has
 * none. */
int nvl_node_copies_open(const struct nvl_root *root, const char *container);
/* The container's group that a node of this kind is for: "render", where it has that and the node is one for
 * rendering, else "video". *gid is its number as the container counts, if it has it; else false. */
bool nvl_node_copy_group(const struct nvl_root *rootfs, const struct nvl_node *node, const char **name,
                         unsigned *gid);
