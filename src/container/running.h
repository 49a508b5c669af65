/* What is known of a container that runs: its init, and who answers for it. */
#pragma once

#include "container/container.h"

/* Its init, as the host's /proc knows it, by LXC's own tool; 0 where it does not run or is not found. A
 * user's container: what the user's own process answers. */
pid_t nvl_container_init(const struct nvl_container *c);

/* Whose process listens on liblxc's command socket, which says who the init is: any user can bind such a name
 * while the container does not run. -errno where nobody does. */
int nvl_container_answerer(const struct nvl_container *c, uid_t *uid);

/* The cgroup of a process in the one hierarchy of v2, "/lxc.payload.web"; NULL where it has none, or where it
 * lies outside of what can be seen. The caller frees. */
char *nvl_process_cgroup(const struct nvl_root *root, pid_t pid);
