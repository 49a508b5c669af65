/* Writes a plan: locked, re-read, compared, atomic; complete or not at all. */
#pragma once

struct nvl_config;
struct nvl_container;
struct nvl_error;
struct nvl_plan;
struct nvl_root;

#define NVL_COMMIT_REPEATS 3

/* Proxmox: flock on /run/lock/lxc/pve-config-CTID.lock, at most 10 s; refused if the config has `lock:`, if
 * the cluster has no quorum, and for another node's CT. LXC: the container's folder is locked. Then the
 * config is read again: -EAGAIN if it is no longer what `base` was read from; the caller then reads, decides
 * and plans anew, NVL_COMMIT_REPEATS times. A config that is a symbolic link is refused, -ELOOP. Temporary
 * files that a killed nvlxc left beside the config go. Incus and LXD: the daemon replaces raw.lxc if the
 * instance still has the version in which it is what `base` was read from. If the caller is not root and
 * lacks the permission, the error's exit status is NVL_EXIT_HOST. A plan without changes does nothing. */
int nvl_commit(const struct nvl_root *root, const struct nvl_container *c, const struct nvl_config *base,
               const struct nvl_plan *plan, struct nvl_error *err);
