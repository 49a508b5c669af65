/* What is known of a container that runs: its init, and who answers for it. */
#pragma once

#include "container/container.h"

/* Its init, as the host's /proc knows it, by LXC's own tool. -EPERM where what says so is not its owner's: a
 * user answers for their own container and may name any process, and only one in a user namespace that the
 * same user made is taken. -ESRCH where it does not run or is not found. */
pid_t nvl_container_init(const struct nvl_container *c, struct nvl_error *err);

/* Whose process listens on liblxc's command socket, which says who the init is: any user can bind such a name
 * while the container does not run. -errno where nobody does. */
int nvl_container_answerer(const struct nvl_container *c, uid_t *uid);

/* The cgroup of a process in the one hierarchy of v2, "/lxc.payload.web"; NULL where it has none, or where it
 * lies outside of what can be seen. The caller frees. */
char *nvl_process_cgroup(const struct nvl_root *root, pid_t pid);

/* The container that a process in this cgroup is part of, of `all`, as nvl_container_at gives it; NULL for
 * none. By the first part of the path that is LXC's ("lxc.payload.web") or Proxmox's ("lxc/220"): what a
 * container makes lies below its own. */
struct nvl_container *nvl_container_of_cgroup(const struct nvl_containers *all, const char *cgroup);
