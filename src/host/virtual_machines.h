/* Which PCI devices Proxmox's virtual machines of a node have: each address that a hostpciN of a VM names,
 * directly or by a mapping. Source: qemu-server's config (hostpciN, onboot, template, [PENDING]). */
#pragma once

#include "base/text.h"

struct nvl_root;

/* The names of nvlxc's hookscript on a storage ("local:snippets/nvlxc-gpu"): lend/hookscript.h. */
#define NVL_HOOKSCRIPT      "nvlxc-gpu"
#define NVL_HOOKSCRIPT_STOP "nvlxc-gpu-stop"

struct nvl_vm_device {
    char *vm;               /* "100" */
    char *key;              /* "hostpci0" */
    char *address;          /* "0000:01:00.0", or "0000:01:00" for all functions */
    struct nvl_strv places; /* "FILE:LINE: TEXT": the line of the VM, and the mapping's */
    bool runs;              /* the VM runs now */
    bool starts_at_boot;    /* onboot */
    bool takes_turns;       /* nvlxc's hookscript lends it to the VM and brings it back */
    bool goes;              /* the running VM has it, but its next start does not: deleted, pending */
};

struct nvl_vm_devices {
    struct nvl_vm_device *items;
    size_t count;
};

/* Leaves out templates, which cannot start, parts of a GPU (mdev=), and what cannot be read. Reads at most
 * some thousand VMs. */
void nvl_vm_devices_read(const struct nvl_root *root, struct nvl_vm_devices *devices);
/* The same of another node's; whether they run is not known here, so none does. */
void nvl_vm_devices_read_of(const struct nvl_root *root, const char *node, struct nvl_vm_devices *devices);
void nvl_vm_devices_clear(struct nvl_vm_devices *devices);
/* Whether the value of a VM's hookscript is nvlxc's. */
bool nvl_is_own_hookscript(const char *volume);
/* Whether it names the PCI function ("0000:01:00.0"). */
bool nvl_vm_device_is(const struct nvl_vm_device *device, const char *pci);
