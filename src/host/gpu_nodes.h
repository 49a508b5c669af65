/* The device nodes that belong to one GPU. */
#pragma once

#include "host/host.h"

/* Appends /dev/nvidiaN, the DRI nodes, and with `caps` the capability nodes of its MIG devices, each
 * inspected. */
void nvl_gpu_nodes(const struct nvl_host *host, const struct nvl_gpu *gpu, bool caps, struct nvl_node **nodes,
                   size_t *n_nodes);
