/* The device nodes that are one GPU's own. */
#pragma once

#include "host/host.h"

/* Appends /dev/nvidiaN, the DRI nodes, and with `caps` the capability nodes of its MIG devices, each looked
 * at. */
void nvl_gpu_nodes(const struct nvl_host *host, const struct nvl_gpu *gpu, bool caps, struct nvl_node **nodes,
                   size_t *n_nodes);
