// SPDX-License-Identifier: GPL-2.0
/* Capabilities: a node for each thing that opening it allows, and the files that tell its minor. One GPU may
 * be partitioned (MIG), into two instances with one compute instance each. */
#include <linux/cdev.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "driver.h"

#define MINORS       (3 + 135 * GPUS_MAX)
#define CONFIG       1
#define MONITOR      2
#define GI_MAX       14
#define CI_MAX       7
#define FIRST_GI     1
#define N_INSTANCES  2
#define MODE_CONFIG  0400
#define MODE_DEFAULT 0444

static struct proc_dir_entry *capabilities, *minors_dir;
static struct cdev cdev;
static dev_t first;
static bool is_registered;

static unsigned int gi_minor(unsigned int gpu, unsigned int gi)
{
    return 3 + 135 * gpu + 9 * gi;
}

static int caps_open(struct inode *inode, struct file *file)
{
    return 0;
}

static const struct file_operations operations = {.owner = THIS_MODULE, .open = caps_open};

static int show_access(struct seq_file *out, void *unused)
{
    unsigned int minor = (unsigned int)(unsigned long)out->private;

    seq_printf(out, "DeviceFileMinor: %u\nDeviceFileMode: %u\nDeviceFileModify: 1\n", minor,
               minor == CONFIG ? MODE_CONFIG : MODE_DEFAULT);
    return 0;
}

/* Every minor that there could be, whether or not the instance is made. */
static int show_minors(struct seq_file *out, void *unused)
{
    seq_printf(out, "config %d\nmonitor %d\n", CONFIG, MONITOR);
    for (unsigned int gpu = 0; gpu < GPUS_MAX; gpu++)
        for (unsigned int gi = 0; gi <= GI_MAX; gi++) {
            seq_printf(out, "gpu%u/gi%u/access %u\n", gpu, gi, gi_minor(gpu, gi));
            for (unsigned int ci = 0; ci <= CI_MAX; ci++)
                seq_printf(out, "gpu%u/gi%u/ci%u/access %u\n", gpu, gi, ci, gi_minor(gpu, gi) + 1 + ci);
        }
    return 0;
}

static bool add_access(struct proc_dir_entry *dir, const char *name, unsigned int minor)
{
    return dir != NULL &&
           proc_create_single_data(name, 0444, dir, show_access, (void *)(unsigned long)minor) != NULL;
}

static struct proc_dir_entry *add_folder(struct proc_dir_entry *dir, const char *name, unsigned int number)
{
    char full[16];

    snprintf(full, sizeof full, "%s%u", name, number);
    return dir != NULL ? proc_mkdir(full, dir) : NULL;
}

int caps_add_gpu(unsigned int gpu)
{
    struct proc_dir_entry *folder = add_folder(capabilities, "gpu", gpu);
    struct proc_dir_entry *of_gpu = folder != NULL ? proc_mkdir("mig", folder) : NULL;

    for (unsigned int gi = FIRST_GI; gi < FIRST_GI + N_INSTANCES; gi++) {
        struct proc_dir_entry *of_gi = add_folder(of_gpu, "gi", gi);
        if (!add_access(of_gi, "access", gi_minor(gpu, gi)) ||
            !add_access(add_folder(of_gi, "ci", 0), "access", gi_minor(gpu, gi) + 1))
            return -ENOMEM;
    }
    return 0;
}

int caps_init(struct proc_dir_entry *nvidia)
{
    int r = alloc_chrdev_region(&first, 0, MINORS, "nvidia-caps");

    if (r < 0)
        return r;
    is_registered = true;
    cdev_init(&cdev, &operations);
    r = cdev_add(&cdev, first, MINORS);
    if (r < 0)
        return r;
    minors_dir = proc_mkdir("driver/nvidia-caps", NULL);
    capabilities = proc_mkdir("capabilities", nvidia);
    if (minors_dir == NULL || capabilities == NULL ||
        proc_create_single("mig-minors", 0444, minors_dir, show_minors) == NULL)
        return -ENOMEM;
    if (mig < 0)
        return 0;
    struct proc_dir_entry *tools = proc_mkdir("mig", capabilities);
    return add_access(tools, "config", CONFIG) && add_access(tools, "monitor", MONITOR) ? 0 : -ENOMEM;
}

/* The folder capabilities goes with the one that it is in. */
void caps_exit(void)
{
    proc_remove(minors_dir);
    minors_dir = NULL;
    if (!is_registered)
        return;
    cdev_del(&cdev);
    unregister_chrdev_region(first, MINORS);
    is_registered = false;
}
