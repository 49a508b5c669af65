/* Finds containers, and tells what their configs say: a Proxmox CT (/etc/pve/lxc/CTID.conf), root's LXC
 * containers (/var/lib/lxc/NAME/config or lxc.lxcpath of /etc/lxc/lxc.conf), and users'
 * (~/.local/share/lxc/NAME/config or lxc.lxcpath of ~/.config/lxc/lxc.conf). */
#pragma once

#include "container/config.h"
#include "container/list.h"

/* All of this machine; with `cluster` also those of the other Proxmox nodes. Root sees all, others see their
 * own. An unreadable folder is an error if it is the caller's own, and skipped if it is another user's.
 * -ENOTCONN on a Proxmox host without its cluster file system. */
int nvl_containers_find(const struct nvl_root *root, bool cluster, struct nvl_containers *containers,
                        struct nvl_error *err);

/* Finds one by name: "220", "web"; if several have the name, "pve/220", "root/web", "alice/web". A CT of this
 * node is also found by its hostname, if only one has it and nothing has it as its name; what is a CT's
 * hostname and a user's name is ambiguous. Unknown (-ENOENT) and ambiguous (-EEXIST) names are errors that
 * list what there is; for a CT of another node (-EREMOTE) the error names the node. The result is like
 * nvl_container_at's: the caller frees it. */
int nvl_container_by_name(const struct nvl_root *root, const struct nvl_containers *containers,
                          const char *name, struct nvl_container **found, struct nvl_error *err);
/* The unambiguous name among `containers`: the short one if that suffices. The caller frees. */
char *nvl_container_full_name(const struct nvl_containers *containers, const struct nvl_container *c);

/* Includes the majors of this host, if the container is on it. -ENOENT only if the container was removed
 * after it was listed: then it has nothing, and whoever goes through all of them leaves it out.
 *
 * A user's config must not lead through links out of the home; one outside of it must be the user's own file.
 */
int nvl_container_read_config(const struct nvl_root *root, const struct nvl_container *c,
                              struct nvl_config *config, struct nvl_error *err);
/* Which containers run now, by liblxc's command sockets in /proc/net/unix: read once for any number of
 * questions. */
struct nvl_running {
    uint64_t *sockets; /* hashes of their names, sorted: the names of a fleet would take more memory than all
                          else */
    size_t count;
};
void nvl_running_read(const struct nvl_root *root, struct nvl_running *running);
bool nvl_running_has(const struct nvl_running *running, const struct nvl_container *c);
void nvl_running_clear(struct nvl_running *running);
/* Whether this container runs now. */
bool nvl_container_is_running(const struct nvl_root *root, const struct nvl_container *c);
/* The name of that socket, "@/var/lib/lxc/web/command"; the caller frees. */
char *nvl_container_command_socket(const struct nvl_container *c);
