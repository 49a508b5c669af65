// SPDX-License-Identifier: GPL-2.0
/* Stands in for NVIDIA's kernel module, as far as programs that only look at it and open its nodes can tell:
 * device numbers, GPUs in use, the firmware that a GPU asks for when its first user comes, and the comparison
 * of versions by which the real libraries notice that they are not the module's. Source of the last:
 * kernel-open/common/inc/nv-ioctl.h of NVIDIA's open-gpu-kernel-modules. */
#include <linux/cdev.h>
#include <linux/delay.h>
#include <linux/firmware.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "driver.h"

#define VERSION_LENGTH 64
#define RECOGNIZED     1

struct version_check {
    u32 command, reply;
    char version[VERSION_LENGTH];
};
#define CHECK_VERSION _IOWR('F', 210, struct version_check)

char *version = "550.163.01";
module_param(version, charp, 0444);
int mig = -1;
module_param(mig, int, 0444);
MODULE_PARM_DESC(mig, "the minor of the GPU that is partitioned; none if negative");

static struct gpu gpus[GPUS_MAX];
static unsigned int n_gpus, n_present;
static DEFINE_MUTEX(lock);
static struct cdev node_cdev, ctl_cdev;

bool nvidia_has_frontend(void)
{
    return simple_strtoul(version, NULL, 10) < 545;
}
EXPORT_SYMBOL_GPL(nvidia_has_frontend);

const char *nvidia_version(void)
{
    return version;
}
EXPORT_SYMBOL_GPL(nvidia_version);

/* A GPU without users forgets its firmware, and asks for it again: always for that of this very version. */
static int initialise(struct gpu *gpu)
{
    const struct firmware *firmware;
    char name[96];

    snprintf(name, sizeof name, "nvidia/%s/gsp_ga10x.bin", version);
    int r = request_firmware(&firmware, name, &gpu->pci->dev);
    if (r < 0) {
        pci_err(gpu->pci, "cannot be initialised without %s: error %d\n", name, r);
        return -EIO;
    }
    release_firmware(firmware);
    gpu->was_used = true;
    return 0;
}

static struct gpu *find_gpu(unsigned int minor)
{
    for (unsigned int i = 0; i < n_gpus; i++)
        if (gpus[i].minor == minor && gpus[i].pci != NULL)
            return &gpus[i];
    return NULL;
}

static int node_open(struct inode *inode, struct file *file)
{
    unsigned int minor = iminor(inode);
    int r = 0;

    if (minor == MINOR_CTL || minor == MINOR_MODESET)
        return 0;
    mutex_lock(&lock);
    struct gpu *gpu = find_gpu(minor);
    if (gpu == NULL)
        r = -ENODEV;
    else if (gpu->users == 0)
        r = initialise(gpu);
    if (r == 0) {
        gpu->users++;
        file->private_data = gpu;
    }
    mutex_unlock(&lock);
    return r;
}

static int node_release(struct inode *inode, struct file *file)
{
    struct gpu *gpu = file->private_data;

    mutex_lock(&lock);
    if (gpu != NULL)
        gpu->users--;
    mutex_unlock(&lock);
    return 0;
}

static long node_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
    struct version_check check;
    void __user *user = (void __user *)argument;

    if (command != CHECK_VERSION)
        return -EINVAL;
    if (copy_from_user(&check, user, sizeof check) != 0)
        return -EFAULT;
    check.version[VERSION_LENGTH - 1] = '\0';
    bool is_ours = strcmp(check.version, version) == 0;
    if (!is_ours)
        pr_err("NVRM: API mismatch: the client '%s' has the version %s, this module %s\n", current->comm,
               check.version, version);
    check.reply = is_ours ? RECOGNIZED : 0;
    strscpy(check.version, version, VERSION_LENGTH);
    if (copy_to_user(user, &check, sizeof check) != 0)
        return -EFAULT;
    return is_ours ? 0 : -EINVAL;
}

static const struct file_operations node_operations = {
    .owner = THIS_MODULE,
    .open = node_open,
    .release = node_release,
    .unlocked_ioctl = node_ioctl,
    .compat_ioctl = compat_ptr_ioctl,
};

static int add_nodes(struct cdev *cdev, unsigned int first, unsigned int n, const char *name)
{
    dev_t number = MKDEV(MAJOR_NVIDIA, first);
    int r = register_chrdev_region(number, n, name);

    if (r < 0)
        return r;
    cdev_init(cdev, &node_operations);
    cdev->owner = THIS_MODULE;
    return cdev_add(cdev, number, n);
}

static int add_all_nodes(void)
{
    if (nvidia_has_frontend())
        return add_nodes(&node_cdev, 0, MINOR_CTL + 1, "nvidia-frontend");
    int r = add_nodes(&node_cdev, 0, MINOR_MODESET, "nvidia");
    return r < 0 ? r : add_nodes(&ctl_cdev, MINOR_CTL, 1, "nvidiactl");
}

static void remove_all_nodes(void)
{
    cdev_del(&node_cdev);
    if (nvidia_has_frontend()) {
        unregister_chrdev_region(MKDEV(MAJOR_NVIDIA, 0), MINOR_CTL + 1);
        return;
    }
    cdev_del(&ctl_cdev);
    unregister_chrdev_region(MKDEV(MAJOR_NVIDIA, 0), MINOR_MODESET);
    unregister_chrdev_region(MKDEV(MAJOR_NVIDIA, MINOR_CTL), 1);
}

/* The minors run against the order of the bus, as they do on some real machines. A GPU that comes back has
 * its old one. */
static struct gpu *take_place(unsigned int address)
{
    for (unsigned int i = 0; i < n_gpus; i++)
        if (gpus[i].address == address)
            return &gpus[i];
    if (n_gpus == GPUS_MAX || n_gpus == n_present)
        return NULL;
    struct gpu *gpu = &gpus[n_gpus++];
    gpu->address = address;
    gpu->minor = n_present - n_gpus;
    return gpu;
}

static int probe(struct pci_dev *pci, const struct pci_device_id *id)
{
    mutex_lock(&lock);
    struct gpu *gpu = take_place(pci_dev_id(pci));
    if (gpu != NULL)
        gpu->pci = pci;
    mutex_unlock(&lock);
    if (gpu == NULL)
        return -ENOSPC;
    pci_set_drvdata(pci, gpu);
    return proc_add_gpu(gpu);
}

/* Waits, as the real one does, until nobody has the GPU open, and no signal ends that. */
static void remove(struct pci_dev *pci)
{
    struct gpu *gpu = pci_get_drvdata(pci);

    mutex_lock(&lock);
    while (gpu->users > 0) {
        pci_err(pci, "NVRM: Attempting to remove device with non-zero usage count!\n");
        mutex_unlock(&lock);
        msleep(500);
        mutex_lock(&lock);
    }
    gpu->pci = NULL;
    gpu->was_used = false;
    mutex_unlock(&lock);
    proc_remove_gpu(gpu);
}

static const struct pci_device_id ids[] = {
    {PCI_DEVICE(PCI_VENDOR_ID_NVIDIA, PCI_ANY_ID), .class = PCI_CLASS_DISPLAY_3D << 8, .class_mask = ~0},
    {},
};
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver driver = {
    .name = "nvidia",
    .id_table = ids,
    .probe = probe,
    .remove = remove,
};

static void count_gpus(void)
{
    struct pci_dev *pci = NULL;

    /* not while the bus is being looked through */
    pci_lock_rescan_remove();
    while ((pci = pci_get_device(PCI_VENDOR_ID_NVIDIA, PCI_ANY_ID, pci)) != NULL)
        n_present += pci->class >> 8 == PCI_CLASS_DISPLAY_3D;
    pci_unlock_rescan_remove();
}

static int __init nvidia_init(void)
{
    count_gpus();
    int r = proc_init();
    if (r < 0)
        return r;
    r = add_all_nodes();
    if (r == 0)
        r = pci_register_driver(&driver);
    if (r < 0)
        proc_exit();
    return r;
}

static void __exit nvidia_exit(void)
{
    pci_unregister_driver(&driver);
    remove_all_nodes();
    proc_exit();
}

module_init(nvidia_init);
module_exit(nvidia_exit);
MODULE_DESCRIPTION("Stands in for NVIDIA's driver, for tests");
MODULE_LICENSE("GPL");
