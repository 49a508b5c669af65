/* A whole cluster as the commands show it: what the nodes have, and who has it. */
#pragma once

#include <jansson.h>

#include "cluster/guests.h"

struct nvl_cluster_view {
    struct nvl_cluster cluster;
    struct nvl_cluster_guests guests;
    struct nvl_strv warnings; /* lost quorum, removed nodes, what could not be read */
};

/* -ENODEV on a host that is in no cluster. The caller clears it in any case. */
int nvl_cluster_view_read(const struct nvl_root *root, struct nvl_cluster_view *view, struct nvl_error *err);
void nvl_cluster_view_clear(struct nvl_cluster_view *view);

/* {"cluster", "quorum", "removed_nodes", "cluster_nodes"}; takes over `nodes`. */
json_t *nvl_cluster_json(const struct nvl_cluster_view *view, json_t *nodes);
/* {"cluster_node", "here", "online", "file", "why", "published", "driver"} */
json_t *nvl_cluster_node_json(const struct nvl_cluster_view *view, const struct nvl_cluster_node *node);
/* The GPUs of a node with who has each; null where they are not known. */
json_t *nvl_cluster_gpus_json(const struct nvl_cluster_view *view, const struct nvl_cluster_node *node);
