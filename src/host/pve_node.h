/* Which node of Proxmox's this is, and whether its cluster lets it write. */
#pragma once

#include <stdbool.h>

struct nvl_root;

/* Whether /etc/pve can be written: without quorum pmxcfs takes the owner's write permission away from the
 * link /etc/pve/local, and Proxmox's tools check exactly that. *mode (may be NULL) is then what it has. */
bool nvl_cluster_has_quorum(const struct nvl_root *root, unsigned *mode);
/* The name of this node, to whose folder /etc/pve/local leads; NULL if that is no link. The caller frees. */
char *nvl_this_node(const struct nvl_root *root);
