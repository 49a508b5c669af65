/* Kernel modules: which of NVIDIA's, and of those in its way, are loaded. Source: /proc/modules. */
#pragma once

#include <stdbool.h>

struct nvl_error;
struct nvl_root;

#define NVL_MODPROBE_PROGRAM "/usr/bin/nvidia-modprobe" /* makes device nodes, if it is installed */

struct nvl_modules {
    bool nvidia, nvidia_uvm, nvidia_modeset, nvidia_drm;
    bool nvidia_vgpu_vfio; /* of the host driver for virtual GPUs */
    bool nouveau, nova_core, vfio_pci;
};

/* 0 and nothing loaded if the kernel has no modules at all (the file does not exist). */
int nvl_modules_read(const struct nvl_root *root, struct nvl_modules *modules, struct nvl_error *err);
/* What NVIDIA's host driver for virtual GPUs (vGPU) lacks, and what has it. */
extern const char nvl_vgpu_text[];
