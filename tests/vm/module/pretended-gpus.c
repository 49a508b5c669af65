// SPDX-License-Identifier: GPL-2.0
/* The hardware of the test machine: PCI functions that QEMU emulates get NVIDIA's numbers and classes, as far
 * as the kernel and /sys know, so that udev loads the driver by itself, and /sys shows what it shows on a
 * real machine. They are behind the machine's IOMMU, and real devices for vfio-pci. */
#include <linux/module.h>
#include <linux/pci.h>

/* QEMU's edu: any device would do that nothing drives. */
#define QEMU_VENDOR 0x1234
#define QEMU_EDU    0x11e8

static const u16 device_ids[] = {0x2330, 0x2684, 0x2204, 0x2438};
#define SOUND_ID 0x22e4 /* of the function beside a GPU */

/* What drives the sound function, as Linux's own driver does on a real machine. */
static int sound_probe(struct pci_dev *pci, const struct pci_device_id *id)
{
    return 0;
}

static const struct pci_device_id sound_ids[] = {{PCI_DEVICE(PCI_VENDOR_ID_NVIDIA, SOUND_ID)}, {}};
static struct pci_driver sound_driver = {
    .name = "snd_hda_intel", .id_table = sound_ids, .probe = sound_probe};

static void pretend(struct pci_dev *pci)
{
    static unsigned int n_gpus;
    bool is_sound = PCI_FUNC(pci->devfn) == 1;

    pci->vendor = PCI_VENDOR_ID_NVIDIA;
    pci->device = is_sound ? SOUND_ID : device_ids[n_gpus++ % ARRAY_SIZE(device_ids)];
    pci->class = (is_sound ? PCI_CLASS_MULTIMEDIA_HD_AUDIO : PCI_CLASS_DISPLAY_3D) << 8;
    if (device_attach(&pci->dev) == 0)
        kobject_uevent(&pci->dev.kobj, KOBJ_ADD);
}

static int __init gpus_init(void)
{
    struct pci_dev *pci = NULL;

    int r = pci_register_driver(&sound_driver);
    if (r < 0)
        return r;
    while ((pci = pci_get_device(QEMU_VENDOR, QEMU_EDU, pci)) != NULL)
        pretend(pci);
    return 0;
}

/* No exit: hardware stays until the machine goes. */
module_init(gpus_init);
MODULE_DESCRIPTION("PCI functions that look like GPUs, for tests");
MODULE_LICENSE("GPL");
