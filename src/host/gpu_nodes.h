/* The device nodes of one GPU, of all, and what else of NVIDIA's is in /dev. */
#pragma once

#include "host/host.h"
#include "host/module.h"

/* Appends /dev/nvidiaN, the DRI nodes, and with `caps` the capability nodes of its MIG devices, each
 * inspected. */
void nvl_gpu_nodes(const struct nvl_host *host, const struct nvl_gpu *gpu, bool caps, struct nvl_node **nodes,
                   size_t *n_nodes);
/* Appends every node that the loaded driver should have: those of its GPUs, then nvidiactl, uvm, uvm-tools,
 * and modeset if that module is loaded; none if no driver is. */
void nvl_host_nodes(const struct nvl_host *host, const struct nvl_modules *modules, struct nvl_node **nodes,
                    size_t *n_nodes);
/* Appends NVIDIA's nodes of /dev that are not among `nodes`: of other modules, of MIG's configuration, and
 * what an earlier driver or another GPU left over, as STALE. */
void nvl_other_nodes(const struct nvl_host *host, struct nvl_node **nodes, size_t *n_nodes);
/* "GPU 0", "GPU 0, MIG GI 1, CI 0": whose node it is; NULL for one that is not one GPU's. The caller frees.
 */
char *nvl_node_owner(const struct nvl_host *host, const struct nvl_node *node);
