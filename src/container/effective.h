/* A container's effective config: what liblxc, or Proxmox, will make of it at the next start. One reader for
 * every command, every check and the hook: the top section with Proxmox's rule that the last duplicate wins,
 * what the pending section changes and deletes, everything that lxc.include brings (a file or a folder,
 * nested), the file that lxc.mount.fstab names, and the lists as empty values leave them. Each value as
 * liblxc reads it, with the file and the line where it stands. Lines of includes are known to all and edited
 * by none. */
#pragma once

#include "container/container.h"
#include "container/entry.h"
#include "container/keys.h"
#include "container/ownership.h"
#include "grant/grant.h"

struct nvl_setting {
    const char *key, *value;     /* a line of an fstab has the key lxc.mount.entry */
    const char *file;            /* where it stands, below the root; NULL: Proxmox writes it itself */
    size_t number;               /* the line there, from 1 */
    const struct nvl_line *line; /* of the container's own config; NULL where another file brings it */
    enum nvl_line_owner owner;   /* of another file's: never nvlxc's */
};

struct nvl_effective {
    const struct nvl_config *config; /* the container's own */
    const char *path;                /* where it lies: the container's, below the root */
    struct nvl_setting *items;       /* in force, in liblxc's order */
    size_t count;
    /* inside effective.c */
    struct nvl_included_file **files;
    size_t n_files, capacity;
};

/* `config` stays the caller's, and must live as long. Where an include cannot be read the error says which
 * and why (LXC will not start the container either), and everything else is there: less than 0 does not mean
 * that `effective` is empty, and it is to be cleared in any case. Includes may come from a user: their depth,
 * number and size are bounded. */
int nvl_effective_read(const struct nvl_root *root, const struct nvl_container *c,
                       const struct nvl_config *config, struct nvl_effective *effective,
                       struct nvl_error *err);
void nvl_effective_clear(struct nvl_effective *effective);

/* The value of a key that counts (the last one); NULL for none. */
const char *nvl_effective_get(const struct nvl_effective *effective, const char *key);
/* Whether that is Proxmox's yes: "1", "on", "yes", "true". */
bool nvl_effective_says_yes(const struct nvl_effective *effective, const char *key);
/* The value of a variable that `key` (lxc.environment, lxc.environment.runtime) sets last; NULL for none. */
const char *nvl_effective_variable(const struct nvl_effective *effective, const char *key,
                                   const char *variable);
/* 1 and the grant where the container's own config has ours, 0 where not. */
int nvl_effective_grant(const struct nvl_effective *effective, struct nvl_grant *grant,
                        struct nvl_error *err);
/* The lines about NVIDIA that are not nvlxc's, as "line 12: lxc.mount.entry: …" or, of another file,
 * "/etc/lxc/gpu.conf:3: …". */
void nvl_effective_by_hand(const struct nvl_effective *effective, struct nvl_strv *lines);
/* The first of them that another file brings, which nvlxc does not edit; NULL for none. */
const struct nvl_setting *nvl_effective_foreign_file(const struct nvl_effective *effective);
/* Its mount entry, its dev[n] entry; false where it is none. */
bool nvl_setting_mount(const struct nvl_setting *setting, struct nvl_mount_entry *entry);
bool nvl_setting_dev(const struct nvl_setting *setting, struct nvl_dev_entry *entry);
/* Whether it is a device rule that allows. */
bool nvl_setting_allows(const struct nvl_setting *setting);
/* Where a setting stands and what it says: "/etc/pve/lxc/223.conf:9: lxc.…"; the caller frees. */
char *nvl_setting_text(const struct nvl_effective *effective, const struct nvl_setting *setting);
