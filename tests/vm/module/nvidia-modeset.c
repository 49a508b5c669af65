// SPDX-License-Identifier: GPL-2.0
/* Stands in for nvidia-modeset: the one node that it has. */
#include <linux/cdev.h>
#include <linux/fs.h>
#include <linux/module.h>

#include "driver.h"

static struct cdev cdev;
static bool is_registered;

static int modeset_open(struct inode *inode, struct file *file)
{
    return 0;
}

static const struct file_operations operations = {.owner = THIS_MODULE, .open = modeset_open};

static int __init modeset_init(void)
{
    dev_t number = MKDEV(MAJOR_NVIDIA, MINOR_MODESET);

    if (nvidia_has_frontend())
        return 0;
    int r = register_chrdev_region(number, 1, "nvidia-modeset");
    if (r < 0)
        return r;
    cdev_init(&cdev, &operations);
    r = cdev_add(&cdev, number, 1);
    if (r < 0)
        unregister_chrdev_region(number, 1);
    is_registered = r == 0;
    return r;
}

static void __exit modeset_exit(void)
{
    if (!is_registered)
        return;
    cdev_del(&cdev);
    unregister_chrdev_region(MKDEV(MAJOR_NVIDIA, MINOR_MODESET), 1);
}

module_init(modeset_init);
module_exit(modeset_exit);
MODULE_DESCRIPTION("Stands in for nvidia-modeset, for tests");
MODULE_LICENSE("GPL");
