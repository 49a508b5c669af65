/* The root file system of a stopped Proxmox CT whose disk is a volume of a storage (LVM, ZFS, Ceph, an image
 * file): `pct mount` brings it, wherever it is. Not public: for this room. */
#pragma once

#include <signal.h>

struct nvl_container;
struct nvl_root;

struct nvl_pct_mount {
    const char *ctid;
    sigset_t signals; /* the caller's: between mount and unmount none ends the program */
};

/* Opens the mounted root file system. While it is mounted the CT carries Proxmox's `lock: mounted`. Where it
 * fails, nothing is mounted, and *why says why; the caller frees it. */
int nvl_pct_mount(struct nvl_pct_mount *m, const struct nvl_container *c, struct nvl_root *rootfs,
                  char **why);
/* Closes and unmounts it. Where it fails, *why says what to do. */
int nvl_pct_unmount(struct nvl_pct_mount *m, struct nvl_root *rootfs, char **why);
