/* All containers of a host, in a few bytes each since there may be ten thousand: what those in one folder
 * share is stored once, and of each only its name. An entry becomes a struct nvl_container when it is asked
 * for. */
#pragma once

#include "container/users.h"

#define NVL_LXC_DIR "/var/lib/lxc" /* root's lxcpath, and Proxmox's */

struct nvl_daemon;
struct nvl_instance;

/* Who keeps the container's config: Proxmox and LXC in a file, Incus and LXD in their database. */
enum nvl_container_kind { NVL_CONTAINER_PVE, NVL_CONTAINER_LXC, NVL_CONTAINER_DAEMON };

struct nvl_container {
    enum nvl_container_kind kind;
    const char *name;             /* CTID or LXC name: no '/', no control characters, no leading '.' */
    const char *lxc_name;         /* what liblxc calls it: the same, but "PROJECT_NAME" where a daemon has
                                     it in a project that is not the default one */
    const char *user;             /* owner of a user's container, NULL for root's and Proxmox's */
    const struct nvl_user *owner; /* the same */
    const char *config_path;      /* below the root: "/etc/pve/lxc/220.conf"; a daemon's has no file, and
                                     this is for messages: "raw.lxc of incus/web" */
    const char *config_edit;      /* for fixes: the same, and how to get there: "raw.lxc of incus/web (incus
                                     config edit web)" */
    const char *lxcpath;          /* the folder that LXC's tools take as -P; "/var/lib/lxc" for Proxmox */
    const char *node; /* the node of the cluster that owns it, if that is not this one; else NULL */
    const struct nvl_majors *majors;     /* of its host, if that is this one; all containers share it */
    const struct nvl_instance *instance; /* a daemon's: what it said of it; else NULL */
};

/* A folder with containers. */
struct nvl_container_folder {
    enum nvl_container_kind kind;
    char *path; /* LXC: the lxcpath */
    char *node;
    const struct nvl_user *owner; /* in nvl_containers */
    bool is_elsewhere;            /* another node's, outside of the search */
    const struct nvl_daemon *daemon;
    char *project; /* a daemon's */
};

struct nvl_container_entry {
    uint32_t folder, name; /* Proxmox: the CTID; LXC: the index of the name in `names`; a daemon: the index in
                              `instances` */
};

struct nvl_containers {
    size_t count;           /* nvl_container_at: Proxmox by CTID, root's by name, users' by user and name */
    struct nvl_strv looked; /* for messages: folders that were searched, whether they exist or not */
    struct nvl_strv unread; /* what could not be read of users' folders, and which daemon does not answer,
                               with the reason: their containers lack */
    struct nvl_majors *majors; /* of this host */
    struct nvl_users users;    /* the same */
    /* the rest is internal: folders are in the order of the list, entries are sorted, and those of other
     * nodes follow the first `count` */
    struct nvl_container_folder *folders;
    size_t n_folders;
    struct nvl_container_entry *entries;
    size_t n_entries, n_sorted;
    struct nvl_buf names;
    struct nvl_instance **instances;
    size_t n_instances;
};

/* Filling: a folder, then what is in it. The functions below see the entries of the last sort. Strings are
 * copied. */
struct nvl_container_folder *nvl_containers_add_folder(struct nvl_containers *all,
                                                       enum nvl_container_kind kind, const char *path,
                                                       const struct nvl_user *owner, const char *node);
/* Adds an entry to the last folder. */
void nvl_containers_add_ct(struct nvl_containers *all, uint32_t ctid);
void nvl_containers_add_lxc(struct nvl_containers *all, const char *name);
void nvl_containers_add_instance(struct nvl_containers *all,
                                 struct nvl_instance *instance); /* takes it over */
void nvl_containers_sort(struct nvl_containers *all);
void nvl_containers_clear(struct nvl_containers *all);

/* One of them; an index from `count` on and below n_entries is one of another node. The caller frees it with
 * free(), before `all` is cleared. */
struct nvl_container *nvl_container_at(const struct nvl_containers *all, size_t i);
/* Iterates over those of that name, Proxmox's first: *folder is 0 at first, *i is the index. */
bool nvl_containers_next_named(const struct nvl_containers *all, const char *name, size_t *folder, size_t *i);
/* The one that liblxc calls so, among the first `count`: "web", "lab_web". Iterates as above: *folder is 0 at
 * first. The result is nvl_container_at's, NULL for none. */
struct nvl_container *nvl_containers_next_lxc_named(const struct nvl_containers *all, const char *lxc_name,
                                                    size_t *folder);
/* Whether one of them has that CTID, on whatever node. */
bool nvl_containers_have_ct(const struct nvl_containers *all, const char *name);

/* Whether this is a CTID as Proxmox writes it: no leading zero, at most nine digits. */
bool nvl_parse_ctid(const char *s, uint32_t *ctid);
