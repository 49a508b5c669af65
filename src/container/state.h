/* The state of a running container: its init, and who answers for it. */
#pragma once

#include "container/container.h"

/* Its init, as the host's /proc numbers it, found by LXC's own tool. -EPERM if the answer is not its owner's:
 * a user answers for their own container and may name any process, so only one in a user namespace that the
 * same user made is accepted. -ESRCH if it is not running or not found. */
pid_t nvl_container_init(const struct nvl_root *root, const struct nvl_container *c, struct nvl_error *err);

/* The owner of the process that listens on liblxc's command socket, which says who the init is: any user can
 * bind such a name while the container is not running. -errno if nobody does. */
int nvl_container_answerer(const struct nvl_container *c, uid_t *uid);

/* The cgroup of a process in the single hierarchy of v2, "/lxc.payload.web"; NULL if it has none, or if it is
 * outside of the visible part. The caller frees. */
char *nvl_process_cgroup(const struct nvl_root *root, pid_t pid);

/* The unambiguous name of the container in `all` that the process is part of; NULL for one of the host. The
 * caller frees. */
char *nvl_container_of_process(const struct nvl_root *root, const struct nvl_containers *all, pid_t pid);
/* The container in `all` that a process in this cgroup is part of, like nvl_container_at's; NULL for none.
 * The first part of the path that is LXC's ("lxc.payload.web") or Proxmox's ("lxc/220") decides: what a
 * container makes is below its own. */
struct nvl_container *nvl_container_of_cgroup(const struct nvl_containers *all, const char *cgroup);
