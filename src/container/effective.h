/* A container's effective config: what liblxc, or Proxmox, will make of it at the next start. Every command,
 * every check and the hook share this reader. It covers the top section with Proxmox's rule that the last
 * duplicate wins, what the pending section changes and deletes, everything that lxc.include adds (a file or a
 * folder, nested), the file that lxc.mount.fstab names, and the lists as empty values leave them. Each value
 * is as liblxc reads it, with its file and line. All readers see the lines of includes; none edits them. */
#pragma once

#include <stdbool.h>

#include "container/entry.h"
#include "container/keys.h"
#include "container/ownership.h"
#include "container/settings.h"
#include "grant/grant.h"

struct nvl_container;
struct nvl_error;
struct nvl_root;

struct nvl_setting {
    const char *key, *value;     /* a line of an fstab has the key lxc.mount.entry */
    const char *file;            /* the file that has it, below the root; NULL: Proxmox writes it itself */
    size_t number;               /* the line there, from 1 */
    const struct nvl_line *line; /* of the container's own config; NULL if another file has it */
    enum nvl_line_owner owner;   /* never nvlxc's in another file */
    const struct nvl_instance_part *part; /* that a daemon made it of: `file` is its source then, and the
                                             number 0; else NULL */
};

struct nvl_effective {
    const struct nvl_config *config; /* the container's own */
    const char *path;                /* its path below the root, as the container has it */
    struct nvl_setting *items;       /* in force, in liblxc's order */
    size_t count;
    /* internal to effective.c */
    struct nvl_included_file **files;
    size_t n_files, capacity;
};

/* `config` stays the caller's, and must live as long. If an include cannot be read, the error says which and
 * why (LXC will not start the container either), and everything else is there: a result below 0 does not mean
 * that `effective` is empty. Clear it in any case. Includes may come from a user: their depth, number and
 * size are limited. */
int nvl_effective_read(const struct nvl_root *root, const struct nvl_container *c,
                       const struct nvl_config *config, struct nvl_effective *effective,
                       struct nvl_error *err);
/* The same of another config of the container; reads no file again that `before` has. */
int nvl_effective_read_again(const struct nvl_root *root, const struct nvl_container *c,
                             const struct nvl_config *config, const struct nvl_effective *before,
                             struct nvl_effective *effective, struct nvl_error *err);
void nvl_effective_clear(struct nvl_effective *effective);

/* Whether it is one of Proxmox's words for yes: "1", "on", "yes", "true". */
bool nvl_effective_says_yes(const struct nvl_effective *effective, const char *key);
