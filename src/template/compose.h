/* Composes the config of a container from a template: a Proxmox CT's, or a plain LXC container's. */
#pragma once

#include "grant/grant.h"
#include "template/template.h"

/* Everything is borrowed. */
struct nvl_composition {
    const struct nvl_template *template;
    const struct nvl_grant *grant; /* NULL: none yet */
    unsigned ctid;                 /* Proxmox */
    const char *hostname;          /* for LXC also its name */
    const char *storage;           /* Proxmox: of its root file system */
    const char *bridge;
    const char *address, *gateway; /* "10.0.99.230/24"; NULL: by DHCP, and none */
    unsigned memory, swap;         /* MiB */
    unsigned cores, disk;          /* GiB */
    const char *ostype, *entrypoint;
    bool is_oci; /* from the template's image, not from a system template */
    bool
        no_limits; /* LXC: this host's cgroup2 limits neither memory nor processors, and a start would fail */
};

/* Takes what the template says. */
void nvl_composition_begin(struct nvl_composition *c, const struct nvl_template *template, bool is_oci);

/* Proxmox's config of an unprivileged CT, in Proxmox's own order. `volume` is its root file system
 * (nvl_volume_name). The caller frees. */
char *nvl_compose_pve(const struct nvl_composition *c, const char *volume);
/* The config of an unprivileged LXC container of root's. */
char *nvl_compose_lxc(const struct nvl_composition *c);
/* Proxmox's netN: "name=eth0,bridge=vmbr0,ip=dhcp,type=veth". The caller frees. */
char *nvl_compose_net(const struct nvl_composition *c);

/* Proxmox's name for the first volume of a CT on a storage, which depends on the storage's type in
 * /etc/pve/storage.cfg ("zfspool: local-zfs"; without that file the name is as on LVM). -ENOENT if the file
 * lacks that storage; the hint lists those that it has. The caller frees *volume. */
int nvl_volume_name(const struct nvl_root *root, const char *storage, unsigned ctid, char **volume,
                    struct nvl_error *err);
/* The default storage: the first one for that content, "rootdir" or "vztmpl"; "local-lvm" or "local" if there
 * is no such file. The caller frees. */
char *nvl_default_storage(const struct nvl_root *root, const char *content);

/* Names as Proxmox accepts them: a host name, a storage, a bridge. */
bool nvl_is_hostname(const char *s);
bool nvl_is_storage_name(const char *s);
bool nvl_is_bridge_name(const char *s);
