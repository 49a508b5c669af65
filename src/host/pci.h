/* The PCI bus. */
#pragma once

#include "base/root.h"

#define NVL_PCI_DEVICES   "/sys/bus/pci/devices"
#define NVL_VENDOR_NVIDIA 0x10de

/* The names in NVL_PCI_DEVICES, sorted, of all devices that may be NVIDIA's. */
int nvl_pci_list(const struct nvl_root *root, struct nvl_strv *names);

struct nvl_pci_identity {
    unsigned vendor, device, class; /* class and subclass: 0x0300 for VGA */
};
/* What the function at the address ("0000:01:00.0") is; false if there is none, or it does not say. */
bool nvl_pci_identify(const struct nvl_root *root, const char *pci, struct nvl_pci_identity *id);
