// SPDX-License-Identifier: GPL-2.0
/* Stands in for nvidia-uvm: a major number that the kernel chooses, and that can be made to differ from boot
 * to boot as it does where other modules were faster. */
#include <linux/cdev.h>
#include <linux/fs.h>
#include <linux/module.h>

#include "driver.h"

#define MINORS 2 /* nvidia-uvm, nvidia-uvm-tools */

static unsigned int shift;
module_param(shift, uint, 0444);
MODULE_PARM_DESC(shift, "how many majors others have taken before");

static struct cdev cdev;
static dev_t first, taken[16];
static unsigned int n_taken;

static int uvm_open(struct inode *inode, struct file *file)
{
    return 0;
}

static const struct file_operations operations = {.owner = THIS_MODULE, .open = uvm_open};

static void give_back(void)
{
    while (n_taken > 0)
        unregister_chrdev_region(taken[--n_taken], 1);
}

static int __init uvm_init(void)
{
    int r = 0;

    for (; n_taken < shift && n_taken < ARRAY_SIZE(taken) && r == 0; n_taken++)
        r = alloc_chrdev_region(&taken[n_taken], 0, 1, "taken");
    if (r == 0)
        r = alloc_chrdev_region(&first, 0, MINORS, "nvidia-uvm");
    if (r < 0) {
        give_back();
        return r;
    }
    cdev_init(&cdev, &operations);
    r = cdev_add(&cdev, first, MINORS);
    if (r < 0) {
        unregister_chrdev_region(first, MINORS);
        give_back();
        return r;
    }
    /* like the real one it needs nvidia, so that modprobe loads both */
    pr_info("nvidia-uvm: loaded, major device number %u, for %s\n", MAJOR(first), nvidia_version());
    return 0;
}

static void __exit uvm_exit(void)
{
    cdev_del(&cdev);
    unregister_chrdev_region(first, MINORS);
    give_back();
}

module_init(uvm_init);
module_exit(uvm_exit);
MODULE_DESCRIPTION("Stands in for nvidia-uvm, for tests");
MODULE_LICENSE("GPL");
