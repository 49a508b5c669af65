/* Putting one thing of the host into the container's root file system. Sources are the host's, opened before
 * and checked through their descriptor; targets are found inside the root file system, which is hostile: no
 * link at the last component is followed, and what is mounted on is what was opened. */
#pragma once

#include "host/node.h"

/* The folder of device nodes that the last one was in, on both sides: nodes mostly share one. */
struct nvl_bind_folder {
    char path[48];    /* "/dev"; "" for none */
    int host, rootfs; /* O_PATH, or -1 */
};
#define NVL_BIND_FOLDER_NONE ((struct nvl_bind_folder){.host = -1, .rootfs = -1})
void nvl_bind_folder_close(struct nvl_bind_folder *folder);

/* Binds the host's device node, whose number must be the expected one, to the same path in the container: the
 * container's own copy, given to its own group, where it is in the folder `own` (nvl_own_nodes_open; -1 for
 * none). 1 where the container has it already. -ENODEV: not that device on the host. -EEXIST: something else
 * stands there. */
int nvl_bind_node(const struct nvl_root *host, int own, const struct nvl_root *rootfs,
                  struct nvl_bind_folder *folder, const struct nvl_node *node);

/* Whether the node is in the root file system already, with the number that it should have. */
bool nvl_bind_has_node(const struct nvl_root *rootfs, const struct nvl_node *node);
