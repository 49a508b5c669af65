/* Commands for people to type: Proxmox's and LXC's own tools, for a single container. Names that a user chose
 * are quoted for a shell. The caller frees. */
#pragma once

#include "container/container.h"

/* "pct reboot 220", "lxc-stop -n web && lxc-start -n web", "as that user: lxc-stop …" */
char *nvl_container_restart(const struct nvl_container *c);
/* "pct resume 220", "lxc-unfreeze -n web" */
char *nvl_container_unfreeze(const struct nvl_container *c);
/* "pct start 220", "lxc-start -n web", "as alice: lxc-start …" */
char *nvl_container_start(const struct nvl_container *c);
/* "pct exec 220 -- COMMAND", "lxc-attach -n web -- COMMAND": as the container's root. */
char *nvl_container_run_inside(const struct nvl_container *c, const char *command);
/* "nvlxc cdi 220 | pct exec 220 -- sh -c …": the host's command that writes a CDI specification into it, for
 * the engines that run there. `name` is the one that nvlxc's commands take. */
char *nvl_container_write_cdi(const struct nvl_container *c, const char *name);
