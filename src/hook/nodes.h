/* The driver's device nodes on the host, made as the driver's parameters want them. */
#pragma once

#include <stddef.h>

struct nvl_host;
struct nvl_node;
struct nvl_outcome;
struct nvl_root;

/* Nodes that were looked at, as they are now: what follows need not look again. */
struct nvl_seen_nodes {
    struct nvl_node *items;
    size_t count;
};
void nvl_seen_nodes_clear(struct nvl_seen_nodes *seen);
/* Fills in what was found of the node: out of `seen`, or by looking at it now. */
void nvl_seen_nodes_check(const struct nvl_seen_nodes *seen, const struct nvl_root *root,
                          struct nvl_node *node);

/* Makes those that are missing, of another number, or an empty file: of every GPU, control, modeset, uvm, and
 * each MIG device's capabilities. Nothing where ModifyDeviceFiles is 0: the administrator's word against
 * nodes that appear by themselves. `seen` gets each one, for the caller to clear. */
void nvl_nodes_ensure(const struct nvl_host *host, struct nvl_seen_nodes *seen, struct nvl_outcome *outcome);
/* The two capabilities that belong to no MIG device, `config` and `monitor`: for the host's own tools. */
void nvl_nodes_ensure_mig_tools(const struct nvl_host *host, struct nvl_seen_nodes *seen,
                                struct nvl_outcome *outcome);
