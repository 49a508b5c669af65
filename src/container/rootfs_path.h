/* Where a container's root file system lies: a directory of this host, or out of reach, and why. */
#pragma once

#include "container/idmap.h"

/* The path, as the config has it; NULL where it is no directory, and *why says it in words. The caller frees
 * both. */
char *nvl_container_rootfs_path(const struct nvl_container *c, const struct nvl_effective *effective,
                                char **why);
/* Opens it as a root handle, whether the container runs or not (of a running one this is what lies below its
 * mounts). Less than 0 where it is not a directory, or not one that root should go into: a user writes their
 * own config, and may name what is not theirs. *why says it in words; the caller frees. */
int nvl_container_open_rootfs(const struct nvl_root *root, const struct nvl_container *c,
                              const struct nvl_effective *effective, const struct nvl_idmap *map,
                              struct nvl_root *rootfs, char **why);
/* What a running container sees, by its init. */
int nvl_container_open_running(pid_t init, struct nvl_root *rootfs);
/* Whether a Proxmox config has its root file system on a storage ("local-lvm:vm-220-disk-0"), where `pct
 * mount` brings it. */
bool nvl_rootfs_is_on_storage(const struct nvl_effective *effective);
