// SPDX-License-Identifier: GPL-2.0
/* /proc/driver/nvidia, in the driver's own words and order. */
#include <linux/module.h>
#include <linux/seq_file.h>

#include "driver.h"

static struct proc_dir_entry *nvidia, *gpus;

static int show_version(struct seq_file *out, void *unused)
{
    seq_printf(out,
               "NVRM version: NVIDIA UNIX x86_64 Kernel Module  %s  Tue Apr  8 12:41:17 UTC 2025\n"
               "GCC version:  gcc version 14.2.0 (Debian 14.2.0-19) \n",
               version);
    return 0;
}

static int show_params(struct seq_file *out, void *unused)
{
    seq_puts(out, "ResmanDebugLevel: 4294967295\n"
                  "RmLogonRC: 1\n"
                  "ModifyDeviceFiles: 1\n"
                  "DeviceFileUID: 0\n"
                  "DeviceFileGID: 0\n"
                  "DeviceFileMode: 438\n"
                  "EnableGpuFirmware: 18\n"
                  "RegistryDwords: \"\"\n");
    return 0;
}

static int show_registry(struct seq_file *out, void *unused)
{
    seq_puts(out, "Binary: \"\"\n");
    return 0;
}

static int show_gpu(struct seq_file *out, void *unused)
{
    const struct gpu *gpu = out->private;

    seq_printf(out, "Model: \t\t NVIDIA Pretended %04X\n", gpu->pci->device);
    seq_puts(out, "IRQ:   \t\t 0\n");
    if (gpu->was_used)
        seq_printf(out, "GPU UUID: \t GPU-0b5e7fd1-61c3-4a0e-9d57-%012x\n", gpu->pci->bus->number);
    else
        seq_puts(out,
                 "GPU UUID: \t GPU-\?\?\?\?\?\?\?\?-\?\?\?\?-\?\?\?\?-\?\?\?\?-\?\?\?\?\?\?\?\?\?\?\?\?\n");
    seq_puts(out, "Video BIOS: \t \?\?.\?\?.\?\?.\?\?.\?\?\n"
                  "Bus Type: \t PCIe\n"
                  "DMA Size: \t 47 bits\n"
                  "DMA Mask: \t 0x7fffffffffff\n");
    seq_printf(out, "Bus Location: \t %s\n", pci_name(gpu->pci));
    seq_printf(out, "Device Minor: \t %u\n", gpu->minor);
    seq_printf(out, "GPU Firmware: \t %s\n", gpu->was_used ? version : "N/A");
    seq_puts(out, "GPU Excluded:\t No\n");
    return 0;
}

int proc_add_gpu(struct gpu *gpu)
{
    struct proc_dir_entry *dir = proc_mkdir(pci_name(gpu->pci), gpus);

    if (dir == NULL || proc_create_single_data("information", 0444, dir, show_gpu, gpu) == NULL ||
        proc_create_single("registry", 0644, dir, show_registry) == NULL)
        return -ENOMEM;
    gpu->proc = dir;
    return (int)gpu->minor == mig ? caps_add_gpu(gpu->minor) : 0;
}

void proc_remove_gpu(struct gpu *gpu)
{
    proc_remove(gpu->proc);
    gpu->proc = NULL;
}

int proc_init(void)
{
    nvidia = proc_mkdir("driver/nvidia", NULL);
    if (nvidia == NULL)
        return -ENOMEM;
    gpus = proc_mkdir("gpus", nvidia);
    bool is_made = gpus != NULL && proc_create_single("version", 0444, nvidia, show_version) != NULL &&
                   proc_create_single("params", 0444, nvidia, show_params) != NULL &&
                   proc_create_single("registry", 0644, nvidia, show_registry) != NULL;
    int r = is_made ? caps_init(nvidia) : -ENOMEM;
    if (r < 0)
        proc_exit();
    return r;
}

void proc_exit(void)
{
    caps_exit();
    proc_remove(nvidia);
    nvidia = NULL;
}
