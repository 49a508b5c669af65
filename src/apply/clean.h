/* Taking nvlxc's files out of a container's root file system after `detach`. */
#pragma once

#include <stdbool.h>

#include "base/text.h"

struct nvl_container;
struct nvl_effective;
struct nvl_error;
struct nvl_idmap;
struct nvl_root;

struct nvl_cleaned {
    struct nvl_strv removed;   /* taken away (with dry_run: what would be) */
    struct nvl_strv remaining; /* what stays or, where the root file system cannot be reached, may be there */
    char *why;                 /* why it stays; NULL where nothing does */
    bool unreachable;          /* the root file system could not be looked at */
    struct nvl_strv problems;  /* what else went wrong on the way, each with what to do */
    bool running;              /* only that is why: once it is stopped, its files can be removed */
};

/* A Proxmox CT on a storage is mounted with `pct mount` meanwhile (not with dry_run). Where the root file
 * system cannot be reached (running, an image file of plain LXC): nothing is done, and `remaining` lists the
 * files that may stay, with `why`. The linker cache is written again where it names the
 * bundle. An error only where the config cannot be understood. */
int nvl_clean_rootfs(const struct nvl_root *root, const struct nvl_container *c,
                     const struct nvl_effective *effective, bool dry_run, struct nvl_cleaned *cleaned,
                     struct nvl_error *err);
/* The same in a root file system that is open already: below its mounts, or of a running container that has
 * none of nvlxc's mounts any more. */
void nvl_clean_entries(const struct nvl_root *root, const struct nvl_root *rootfs,
                       const struct nvl_idmap *map, bool dry_run, struct nvl_cleaned *cleaned);
void nvl_cleaned_clear(struct nvl_cleaned *cleaned);
