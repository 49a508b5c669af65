/* The containers of the cluster's nodes that have a GPU, each with what its grant means on its node. */
#pragma once

#include "cluster/cluster.h"
#include "container/container.h"
#include "container/holding.h"

/* A Proxmox CT of any node, or another container of this one. */
struct nvl_cluster_guest {
    struct nvl_container *container;
    char *name; /* unambiguous */
    const struct nvl_cluster_node *node;
    bool has_grant; /* else only lines by hand */
    /* Where node->is_known, resolved on it; else only the grant. A node's VMs and what Proxmox maps there are
     * not part of it. */
    struct nvl_holding holding;
};

struct nvl_cluster_guests {
    struct nvl_containers containers;
    struct nvl_cluster_guest *items;
    size_t count;
    struct nvl_strv unread; /* configs that could not be read, with the reason: what they have is not known */
};

/* Those on removed nodes are left out. */
int nvl_cluster_guests_read(const struct nvl_cluster *cluster, struct nvl_cluster_guests *guests,
                            struct nvl_error *err);
void nvl_cluster_guests_clear(struct nvl_cluster_guests *guests);
/* The one with that name, hostname too; -ENODATA for one without a grant, which fits anywhere and nowhere. */
int nvl_cluster_guest_by_name(const struct nvl_cluster *cluster, const struct nvl_cluster_guests *guests,
                              const char *name, const struct nvl_cluster_guest **found,
                              struct nvl_error *err);
/* Who has the GPU of that node: "220", "230 (by hand)", "VM 100". */
void nvl_cluster_holders(const struct nvl_cluster_guests *guests, const struct nvl_cluster_node *node,
                         const struct nvl_gpu *gpu, const struct nvl_mig *mig, struct nvl_strv *names);
