/* The PCI bus. */
#pragma once

#include "base/root.h"

#define NVL_PCI_DEVICES   "/sys/bus/pci/devices"
#define NVL_VENDOR_NVIDIA 0x10de

/* The names in NVL_PCI_DEVICES, sorted, of all devices that may be NVIDIA's. */
int nvl_pci_list(const struct nvl_root *root, struct nvl_strv *names);
