/* Makes the driver's device nodes on the host, as the driver's parameters want them. */
#pragma once

#include <stddef.h>

struct nvl_host;
struct nvl_node;
struct nvl_outcome;
struct nvl_root;

/* Nodes that were checked, in their present state: later steps need not check again. */
struct nvl_seen_nodes {
    struct nvl_node *items;
    size_t count;
};
void nvl_seen_nodes_clear(struct nvl_seen_nodes *seen);
/* Fills in the node's state: from `seen`, or by checking it now. */
void nvl_seen_nodes_check(const struct nvl_seen_nodes *seen, const struct nvl_root *root,
                          struct nvl_node *node);

/* Makes nodes that are missing, have another number, or are an empty file: those of every GPU, control,
 * modeset, uvm, and each MIG device's capabilities. Does nothing if ModifyDeviceFiles is 0: then the
 * administrator wants no nodes that appear by themselves. `seen` gets each node; the caller clears it. */
void nvl_nodes_ensure(const struct nvl_host *host, struct nvl_seen_nodes *seen, struct nvl_outcome *outcome);
/* The two capabilities outside of MIG devices, `config` and `monitor`: for the host's own tools. */
void nvl_nodes_ensure_mig_tools(const struct nvl_host *host, struct nvl_seen_nodes *seen,
                                struct nvl_outcome *outcome);
