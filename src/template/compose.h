/* Composes text from a template: a Proxmox CT's config, an LXC container's, or the commands that create a CT.
 */
#pragma once

#include "grant/grant.h"
#include "template/template.h"

struct nvl_composition {
    const struct nvl_template *template;
    const struct nvl_grant *grant;
    unsigned ctid;        /* Proxmox */
    const char *hostname; /* for LXC also its name */
    const char *storage;  /* Proxmox: of its root file system */
    const char *bridge;
    bool is_oci; /* from the template's image, not from a system template */
};

/* Proxmox's config of an unprivileged CT, in Proxmox's own order. `volume` is its root file system
 * (nvl_volume_name). The caller frees. */
char *nvl_compose_pve(const struct nvl_composition *c, const char *volume);
/* The config of an unprivileged LXC container of root's. */
char *nvl_compose_lxc(const struct nvl_composition *c);
/* Shell commands: the system template or image, `pct create`, `nvlxc attach`, `pct start`. */
char *nvl_compose_commands(const struct nvl_composition *c);

/* Proxmox's name for the first volume of a CT on a storage, which depends on the storage's type in
 * /etc/pve/storage.cfg ("zfspool: local-zfs"; without that file the name is as on LVM). -ENOENT if the file
 * lacks that storage; the hint lists those that it has. The caller frees *volume. */
int nvl_volume_name(const struct nvl_root *root, const char *storage, unsigned ctid, char **volume,
                    struct nvl_error *err);
/* The default storage: the first one for root file systems of containers; "local-lvm" if
 * there is no such file. The caller frees. */
char *nvl_default_storage(const struct nvl_root *root);

/* Names as Proxmox accepts them: a host name, a storage, a bridge. */
bool nvl_is_hostname(const char *s);
bool nvl_is_storage_name(const char *s);
bool nvl_is_bridge_name(const char *s);
