/* Where a container's root file system is: a directory of this host, or out of reach, and why. */
#pragma once

#include "container/idmap.h"

/* The path as the config has it; NULL if it is not a directory, then *why gives the reason in words. The
 * caller frees both. */
char *nvl_container_rootfs_path(const struct nvl_container *c, const struct nvl_effective *effective,
                                char **why);
/* Opens it as a root handle, whether the container runs or not (for a running one, this is what lies below
 * its mounts). Below 0 if it is not a directory, or not one that root should enter: users write their own
 * configs, and may name what is not theirs. *why gives the reason in words; the caller frees. */
int nvl_container_open_rootfs(const struct nvl_root *root, const struct nvl_container *c,
                              const struct nvl_effective *effective, const struct nvl_idmap *map,
                              struct nvl_root *rootfs, char **why);
/* Opens what a running container sees, through its init. Its file systems may never answer: until it is
 * closed this is a visit (base/visit.h), as is a user's root file system. -ETIMEDOUT if it has not answered.
 */
int nvl_container_open_running(const struct nvl_container *c, pid_t init, struct nvl_root *rootfs);
/* Whether a Proxmox config has its root file system on a storage ("local-lvm:vm-220-disk-0"), which `pct
 * mount` can mount. */
bool nvl_rootfs_is_on_storage(const struct nvl_effective *effective);
