/* Writes a plan: locked, re-read, compared, atomic; complete or not at all. */
#pragma once

struct nvl_config;
struct nvl_container;
struct nvl_error;
struct nvl_plan;
struct nvl_root;

/* Proxmox: flock on /run/lock/lxc/pve-config-CTID.lock, at most 10 s; refused if the config has `lock:`, if
 * the cluster has no quorum, and for another node's CT. LXC: the container's folder is locked. Then the
 * config is read again: -EBUSY if it is no longer what `base` was read from. A config that is a symbolic link
 * is refused, -ELOOP. If the caller is not root and lacks the permission, the error's exit status is
 * NVL_EXIT_HOST. A plan without changes does nothing. */
int nvl_commit(const struct nvl_root *root, const struct nvl_container *c, const struct nvl_config *base,
               const struct nvl_plan *plan, struct nvl_error *err);
