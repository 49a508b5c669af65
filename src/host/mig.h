/* MIG devices of one GPU, from /proc/driver/nvidia/capabilities/gpuN/mig. A part of gpu.c. */
#pragma once

#include "host/gpu.h"

/* Fills mig_enabled, migs and n_migs; `gpu` already has its device minor. */
void nvl_gpu_read_migs(const struct nvl_root *root, struct nvl_gpu *gpu);
