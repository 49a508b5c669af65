/* The host at one moment: what commands and the hook resolve grants against. */
#pragma once

#include "host/driver_version.h"
#include "host/gpu.h"
#include "host/majors.h"
#include "host/node.h"
#include "host/params.h"

struct nvl_host {
    const struct nvl_root *root; /* borrowed */
    struct nvl_driver_version driver;
    struct nvl_majors majors;
    struct nvl_params params;
    struct nvl_gpus gpus;
    /* the contents of /proc/driver/nvidia/version and params; NULL if absent */
    char *version_text, *params_text;
    const char *mappings; /* a copy of Proxmox's mappings of PCI devices (host/pci_mappings.h), set by a
                             caller who may not read its own file; borrowed */
    const char *node; /* another node of the cluster, known only by its GPUs; NULL for this one; borrowed */
};

/* Each file is read once. 0 also on a host without a driver or a GPU. */
int nvl_host_read(struct nvl_host *host, const struct nvl_root *root, enum nvl_gpus_depth depth,
                  struct nvl_error *err);
void nvl_host_clear(struct nvl_host *host);
