/* Removes nvlxc's files from a container's root file system after `detach`. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/text.h"

struct nvl_container;
struct nvl_effective;
struct nvl_error;
struct nvl_idmap;
struct nvl_root;

struct nvl_cleaned {
    struct nvl_strv removed;   /* removed (with dry_run: would be removed) */
    struct nvl_strv remaining; /* what stays or, if the root file system is unreachable, may be there */
    char *why;                 /* why it stays; NULL if nothing does */
    bool unreachable;          /* the root file system could not be read */
    struct nvl_strv problems;  /* what else went wrong, each with what to do */
    bool running;              /* the only reason: once the container stops, its files can be removed */
    bool not_mounted;          /* the only reason: `pct mount` could reach them, and was not asked for */
    bool failed; /* it was tried, and files stay, or a lock (a stale linker cache is harmless) */
};

enum nvl_clean_how {
    NVL_CLEAN_DRY,    /* only looks */
    NVL_CLEAN_FOLDER, /* only a root file system that is a folder of this host */
    NVL_CLEAN_ALL,    /* also one that `pct mount` reaches */
};

/* If the root file system is unreachable (running, an image file of plain LXC), it does nothing: `remaining`
 * lists the files that may be there, with `why`. Rebuilds the linker cache if it names the bundle. Fails only
 * if the config cannot be parsed. */
int nvl_clean_rootfs(const struct nvl_root *root, const struct nvl_container *c,
                     const struct nvl_effective *effective, enum nvl_clean_how how,
                     struct nvl_cleaned *cleaned, struct nvl_error *err);
/* -EPERM if a user's config names a root file system, or ids, that are not the user's: whoever works on it
 * with root's rights refuses. */
int nvl_clean_check(const struct nvl_root *root, const struct nvl_container *c,
                    const struct nvl_effective *effective, struct nvl_error *err);
/* Whether NVL_CLEAN_ALL runs `pct mount` and `pct unmount` on it, as it is now. Each makes Proxmox write the
 * config anew, in its own form. */
bool nvl_clean_takes_pct(const struct nvl_root *root, const struct nvl_container *c,
                         const struct nvl_effective *effective);
/* The same in an open root file system: below its mounts, or of a running container (init; else 0) that no
 * longer has any of nvlxc's mounts. Leaves everything, and returns false, if another container has its driver
 * mounted in it. */
bool nvl_clean_entries(const struct nvl_root *root, const struct nvl_root *rootfs, pid_t init,
                       const struct nvl_idmap *map, bool dry_run, struct nvl_cleaned *cleaned);
/* Whether something is mounted on that folder of the root file system, in any mount namespace but those of
 * the running container's own processes (init; 0 for none). */
bool nvl_is_mounted_elsewhere(const struct nvl_root *host, const struct nvl_root *rootfs, const char *path,
                              pid_t init);
void nvl_cleaned_clear(struct nvl_cleaned *cleaned);
