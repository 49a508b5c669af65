// SPDX-License-Identifier: GPL-2.0
/* The hardware of the test machine: a PCI bus whose functions have NVIDIA's numbers and nothing else, so that
 * udev loads the driver by itself and /sys shows what it shows on a real machine. */
#include <linux/module.h>
#include <linux/pci.h>

#define BUS 0x41

static unsigned int count = 2;
module_param(count, uint, 0444);
MODULE_PARM_DESC(count, "how many GPUs");

static const u16 device_ids[] = {0x2330, 0x2684, 0x2204, 0x2438};
static struct pci_sysdata sysdata = {.domain = 0, .node = NUMA_NO_NODE};
static struct pci_bus *bus;

static u32 read_register(unsigned int slot, int where)
{
    switch (where & ~3) {
    case PCI_VENDOR_ID:
        return PCI_VENDOR_ID_NVIDIA | (u32)device_ids[slot % ARRAY_SIZE(device_ids)] << 16;
    case PCI_CLASS_REVISION:
        return PCI_CLASS_DISPLAY_3D << 16 | 0xa1;
    }
    return 0; /* no memory, no interrupt, no capabilities */
}

static int read_config(struct pci_bus *on, unsigned int devfn, int where, int size, u32 *value)
{
    if (on->number != BUS || PCI_FUNC(devfn) != 0 || PCI_SLOT(devfn) >= count) {
        PCI_SET_ERROR_RESPONSE(value);
        return PCIBIOS_DEVICE_NOT_FOUND;
    }
    *value = read_register(PCI_SLOT(devfn), where) >> 8 * (where & 3);
    if (size < 4)
        *value &= (1u << 8 * size) - 1;
    return PCIBIOS_SUCCESSFUL;
}

static int write_config(struct pci_bus *on, unsigned int devfn, int where, int size, u32 value)
{
    return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops ops = {.read = read_config, .write = write_config};

static int __init gpus_init(void)
{
    LIST_HEAD(resources);

    pci_lock_rescan_remove();
    bus = pci_scan_root_bus(NULL, BUS, &ops, &sysdata, &resources);
    if (bus != NULL)
        pci_bus_add_devices(bus);
    pci_unlock_rescan_remove();
    return bus != NULL ? 0 : -ENODEV;
}

/* No exit: hardware stays until the machine goes. */
module_init(gpus_init);
MODULE_DESCRIPTION("PCI functions that look like GPUs, for tests");
MODULE_LICENSE("GPL");
