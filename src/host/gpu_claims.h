/* Who claims a GPU for another driver, and what keeps NVIDIA's from it: the lines of this host's
 * configuration that do so, each with its place and with the command that revokes it. */
#pragma once

#include "host/gpu.h"
#include "host/modprobe.h"
#include "host/virtual_machines.h"

struct nvl_system;

struct nvl_claim {
    struct nvl_strv places; /* "FILE:LINE: TEXT" */
    struct nvl_strv fix;    /* commands, or the edit in words */
    unsigned parts;         /* enum nvl_boot_part: to be written again, before the reboot that all need */
    const struct nvl_vm_device *vm; /* a VM's; points into the caller's list */
};

struct nvl_claims {
    struct nvl_claim *items;
    size_t count;
};

/* Appends what assigns the GPU to that driver ("vfio-pci", "pci-stub"): ids and aliases in modprobe's
 * configuration, the kernel's command line, udev's rules, driverctl, scripts, and for vfio-pci VMs. */
void nvl_gpu_claims_read(const struct nvl_root *root, const struct nvl_modprobe *modprobe,
                         const struct nvl_vm_devices *vms, const struct nvl_gpu *gpu, const char *driver,
                         struct nvl_claims *claims);
/* The part that needs no search: ids, aliases, the command line. */
void nvl_module_claims_read(const struct nvl_root *root, const struct nvl_modprobe *modprobe,
                            const struct nvl_gpu *gpu, const char *driver, struct nvl_claims *claims);
/* The part of the VMs: each that names the GPU takes it when it starts. */
void nvl_vm_claims_read(const struct nvl_vm_devices *vms, const struct nvl_gpu *gpu,
                        struct nvl_claims *claims);
/* Appends what keeps NVIDIA's module, whatever its name, from loading: `blacklist` and `install` lines, the
 * kernel's command line. */
void nvl_nvidia_barriers_read(const struct nvl_root *root, const struct nvl_modprobe *modprobe,
                              struct nvl_claims *claims);
void nvl_claims_clear(struct nvl_claims *claims);

/* Appends the places, and the commands that revoke all of them: first edits, then what must be rebuilt, with
 * `reboot` then the reboot, which a VM does not need. */
void nvl_claims_evidence(const struct nvl_claims *claims, struct nvl_strv *evidence);
void nvl_claims_fix(const struct nvl_claims *claims, const struct nvl_system *system, bool reboot,
                    struct nvl_strv *fix);
/* Whether a line of modprobe's configuration keeps NVIDIA's module from loading. */
bool nvl_is_nvidia_barrier(const struct nvl_modprobe_line *line);
