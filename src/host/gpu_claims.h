/* Who claims a GPU for another driver, and what keeps NVIDIA's from it: the lines of this host's
 * configuration that do so, each with its place and with what takes it back. */
#pragma once

#include "host/gpu.h"
#include "host/modprobe.h"
#include "host/virtual_machines.h"

/* What has to be made anew after a claim was taken back, and before the reboot that all of them take. */
enum nvl_claim_after {
    NVL_AFTER_INITRAMFS = 1 << 0, /* update-initramfs: it has a copy */
    NVL_AFTER_GRUB = 1 << 1,      /* update-grub */
    NVL_AFTER_BOOT_TOOL = 1 << 2, /* proxmox-boot-tool refresh */
    NVL_AFTER_REBOOT = 1 << 3,
};

struct nvl_claim {
    struct nvl_strv places; /* "FILE:LINE: TEXT" */
    struct nvl_strv fix;    /* commands, or the edit in words */
    unsigned after;
    const struct nvl_vm_device *vm; /* a VM's; in the list that was given */
};

struct nvl_claims {
    struct nvl_claim *items;
    size_t count;
};

/* Appends what gives the GPU to that driver ("vfio-pci", "pci-stub"): ids and aliases in modprobe's
 * configuration, the kernel's command line, udev's rules, driverctl, scripts, and for vfio-pci VMs. */
void nvl_gpu_claims_read(const struct nvl_root *root, const struct nvl_modprobe *modprobe,
                         const struct nvl_vm_devices *vms, const struct nvl_gpu *gpu, const char *driver,
                         struct nvl_claims *claims);
/* The part of it that nothing has to be searched for: ids, aliases, the command line. */
void nvl_module_claims_read(const struct nvl_root *root, const struct nvl_modprobe *modprobe,
                            const struct nvl_gpu *gpu, const char *driver, struct nvl_claims *claims);
/* And that of the VMs: each that names the GPU takes it when it starts. */
void nvl_vm_claims_read(const struct nvl_vm_devices *vms, const struct nvl_gpu *gpu,
                        struct nvl_claims *claims);
/* Appends what keeps NVIDIA's module, whatever its name, from being loaded: `blacklist` and `install` lines,
 * the kernel's command line. */
void nvl_nvidia_barriers_read(const struct nvl_root *root, const struct nvl_modprobe *modprobe,
                              struct nvl_claims *claims);
void nvl_claims_clear(struct nvl_claims *claims);

/* Appends the places, and the commands that take all of them back: what to edit, then what has to be made
 * anew, with `reboot` then the reboot. */
void nvl_claims_evidence(const struct nvl_claims *claims, struct nvl_strv *evidence);
void nvl_claims_fix(const struct nvl_claims *claims, bool reboot, struct nvl_strv *fix);
/* Whether a line of modprobe's configuration keeps NVIDIA's module from being loaded. */
bool nvl_is_nvidia_barrier(const struct nvl_modprobe_line *line);
