/* Kernel modules: which of NVIDIA's, and of those in its way, are loaded (/proc/modules), and the versions that lie
 * ready on disk for the next boot. */
#pragma once

#include "host/driver_version.h"

struct nvl_modules {
    bool nvidia, nvidia_uvm, nvidia_modeset, nvidia_drm;
    bool nouveau, nova_core, vfio_pci;
};

int nvl_modules_read(const struct nvl_root *root, struct nvl_modules *modules, struct nvl_error *err);
