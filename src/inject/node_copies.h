/* A container's own device nodes: /dev/nvlxc/NAME/renderD128 on the host. The host restricts some nodes to a
 * group of its own (udev does for /dev/dri, the driver with another NVreg_DeviceFileMode), to which nobody in
 * a container belongs. So the container gets copies that belong to its root and its own group, and the host's
 * nodes stay as they are. The copies are made on devtmpfs before the container starts, and only its root may
 * enter the folder. They never outnumber what one start leaves. */
#pragma once

#include <sys/types.h>

#include <stdbool.h>

struct nvl_grant;
struct nvl_host;
struct nvl_node;
struct nvl_resolved;
struct nvl_root;
struct nvl_strv;

/* Whether any of the checked nodes is one that only its owner or group may use. MIG's capability nodes do not
 * count: the driver sets their modes, and they are only read. */
bool nvl_node_copies_are_needed(const struct nvl_resolved *resolved);
/* Those nodes of the grant, each checked and working. */
bool nvl_node_copies_find(const struct nvl_host *host, const struct nvl_grant *grant,
                          struct nvl_resolved *resolved);
/* Runs as the host's root: fills the folder with a copy of each such node and nothing else, with the host's
 * mode and the container's root (host ids) as owner. `problems` says what could not be made. */
void nvl_node_copies_make(const struct nvl_root *root, const struct nvl_resolved *resolved,
                          const char *container, uid_t uid, gid_t gid, struct nvl_strv *problems);
/* For a container that needs no copies. */
void nvl_node_copies_remove(const struct nvl_root *root, const char *container);
/* Opens the folder, O_PATH: its nodes have the same names as in their own folders. -ENOENT if the container
 * has none. */
int nvl_node_copies_open(const struct nvl_root *root, const char *container);
