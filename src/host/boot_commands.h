/* What must be written again after a change of what a boot reads: modprobe.d, the kernel's command line. */
#pragma once

#include "host/system.h"

enum nvl_boot_part {
    NVL_BOOT_INITRAMFS = 1 << 0, /* has its own copy of modprobe.d */
    NVL_BOOT_GRUB = 1 << 1,
    NVL_BOOT_TOOL = 1 << 2, /* proxmox-boot-tool: copies /etc/kernel/cmdline */
};

/* Appends the distribution's own command for each part, in the order in which they must run; words where none
 * is known. */
void nvl_add_boot_commands(const struct nvl_system *system, unsigned parts, struct nvl_strv *fix);
