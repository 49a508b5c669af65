/* All containers of a host, kept in a few bytes each since there may be ten thousand: what those of one
 * folder share is kept once, of each only its name. One is made into a struct nvl_container when it is
 * asked for. */
#pragma once

#include "container/users.h"

#define NVL_LXC_DIR "/var/lib/lxc" /* root's lxcpath, and Proxmox's */

enum nvl_container_kind { NVL_CONTAINER_PVE, NVL_CONTAINER_LXC };

struct nvl_container {
    enum nvl_container_kind kind;
    const char *name;             /* CTID or LXC name: no '/', no control characters, no leading '.' */
    const char *user;             /* owner of a user's container, NULL for root's and Proxmox's */
    const struct nvl_user *owner; /* the same */
    const char *config_path;      /* below the root: "/etc/pve/lxc/220.conf" */
    const char *lxcpath;          /* the folder that LXC's tools take as -P; "/var/lib/lxc" for Proxmox */
    const char *node;             /* Proxmox: the node that owns it, where that is not this one; else NULL */
    const struct nvl_majors *majors; /* of its host, where that is this one; shared by all that were found */
};

/* Where containers lie. */
struct nvl_container_folder {
    enum nvl_container_kind kind;
    char *path; /* LXC: the lxcpath */
    char *node;
    const struct nvl_user *owner; /* in nvl_containers */
    bool is_elsewhere;            /* another node's, which was not asked for */
};

struct nvl_container_entry {
    uint32_t folder, name; /* Proxmox: the CTID; LXC: where the name begins in `names` */
};

struct nvl_containers {
    size_t count;           /* nvl_container_at: Proxmox by CTID, root's by name, users' by user and name */
    struct nvl_strv looked; /* for messages: folders where they were looked for, whether there or not */
    struct nvl_majors *majors; /* of this host */
    struct nvl_users users;    /* the same */
    /* the rest is for the functions below: folders are in the order of the list, entries are sorted, and
     * behind the first `count` are those elsewhere */
    struct nvl_container_folder *folders;
    size_t n_folders;
    struct nvl_container_entry *entries;
    size_t n_entries, n_sorted;
    struct nvl_buf names;
};

/* Filling: a folder, then what is in it. The functions below see what was there when it was sorted last.
 * Strings are copied. */
struct nvl_container_folder *nvl_containers_add_folder(struct nvl_containers *all,
                                                       enum nvl_container_kind kind, const char *path,
                                                       const struct nvl_user *owner, const char *node);
/* Into the last folder. */
void nvl_containers_add_ct(struct nvl_containers *all, uint32_t ctid);
void nvl_containers_add_lxc(struct nvl_containers *all, const char *name);
void nvl_containers_sort(struct nvl_containers *all);
void nvl_containers_clear(struct nvl_containers *all);

/* One of them; with an index from `count` on, below n_entries, one that is elsewhere. The caller frees it, by
 * free(), and before `all` is cleared. */
struct nvl_container *nvl_container_at(const struct nvl_containers *all, size_t i);
/* Walks those of that name, Proxmox's first: *folder is 0 at first, *i is the index. */
bool nvl_containers_next_named(const struct nvl_containers *all, const char *name, size_t *folder, size_t *i);
/* Whether that is the CTID of one of them, on whatever node. */
bool nvl_containers_have_ct(const struct nvl_containers *all, const char *name);

/* A CTID as it is written: no leading zero, at most nine digits. */
bool nvl_parse_ctid(const char *s, uint32_t *ctid);
