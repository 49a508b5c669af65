/* What one line of a config adds to a container: a mount entry, or Proxmox's dev[n]. Each has one parser,
 * which reads it as liblxc (getmntent(3), lxc.container.conf(5)) and Proxmox (PVE/LXC/Config.pm) do. */
#pragma once

#include "base/text.h"

/* The value of lxc.mount.entry, or a line of the file that lxc.mount.fstab names. */
struct nvl_mount_entry {
    char *source, *target; /* with \040 and the like decoded; the target as written, without a leading slash
                            * if it is relative */
    char *options;         /* "" for none */
};
/* False if it has fewer than two fields, and for a comment. */
bool nvl_mount_entry_parse(const char *value, struct nvl_mount_entry *entry);
void nvl_mount_entry_clear(struct nvl_mount_entry *entry);
/* Whether the word ("optional", "create=file", "ro") is one of the options. */
bool nvl_mount_entry_has(const struct nvl_mount_entry *entry, const char *option);
/* Where it appears in the container: "/dev/nvidia0" for the target "dev/nvidia0". An absolute target counts
 * below `rootfs`, the container's root file system as its config names it (NULL: unknown). liblxc leaves out
 * a target elsewhere: NULL. The caller frees. */
char *nvl_mount_entry_place(const struct nvl_mount_entry *entry, const char *rootfs);

/* "[path=]/dev/nvidia0,mode=0666,uid=0,gid=44,deny-write=1" */
struct nvl_dev_entry {
    char *path;
    int mode; /* 0660 if the entry does not say */
    bool says_mode, says_owner, denies_write;
    unsigned uid, gid; /* of the container */
};
/* "dev0" to "dev255", as Proxmox writes it: the number, or -1. */
int nvl_dev_index(const char *key);
/* False if it names no path. */
bool nvl_dev_entry_parse(const char *value, struct nvl_dev_entry *entry);
/* The value with another path, and with a mode in place of its own if `mode` is not NULL; the caller frees.
 */
char *nvl_dev_entry_change(const char *value, const char *path, const char *mode);
void nvl_dev_entry_clear(struct nvl_dev_entry *entry);
