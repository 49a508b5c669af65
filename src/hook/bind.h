/* Putting one thing of the host into the container's root file system. Sources are the host's, opened before
 * and checked through their descriptor; targets are found inside the root file system, which is hostile: no
 * link at the last component is followed, and what is mounted on is what was opened. */
#pragma once

#include "host/node.h"

/* Binds the host's device node, whose number must be the expected one, to the same path in the container. 1
 * where the container has it already. -ENODEV: not that device on the host. -EEXIST: something else stands
 * there. */
int nvl_bind_node(const struct nvl_root *host, const struct nvl_root *rootfs, const struct nvl_node *node);

/* Moves a detached mount onto the folder or file at `path`, which must exist and be no link. */
int nvl_bind_attach(const struct nvl_root *rootfs, const char *path, int mount_fd);
/* Whether the node is in the root file system already, with the number that it should have. */
bool nvl_bind_has_node(const struct nvl_root *rootfs, const struct nvl_node *node);
