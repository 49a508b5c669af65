/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the driver's stand-in share. */
#pragma once

#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/proc_fs.h>

#define GPUS_MAX      8
#define MAJOR_NVIDIA  195
#define MINOR_MODESET 254
#define MINOR_CTL     255

struct gpu {
    struct pci_dev *pci;
    unsigned int address, minor;
    unsigned int users;
    struct proc_dir_entry *proc;
    bool was_used; /* its UUID is read at its first use */
};

extern char *version;
extern int mig;

/* Up to 535 one number serves all minors, under another name; from 545 each module registers its own. */
bool nvidia_has_frontend(void);
const char *nvidia_version(void);

int proc_init(void);
void proc_exit(void);
int proc_add_gpu(struct gpu *gpu);
void proc_remove_gpu(struct gpu *gpu);

int caps_init(struct proc_dir_entry *nvidia);
void caps_exit(void);
int caps_add_gpu(unsigned int gpu_minor);
