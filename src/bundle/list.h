/* Driver bundles: /var/lib/nvlxc/driver/VERSION/{bin,lib64,lib32,share,etc} with `sonames` and
 * `manifest.json`. Which exist, what each is good for now, and their removal. */
#pragma once

#include <stdint.h>

#include "host/driver_version.h"

struct nvl_userspace;

struct nvl_bundle {
    char version[NVL_VERSION_MAX];
    uint64_t bytes;
    size_t n_files;
    bool complete;                 /* has a readable manifest */
    int unreadable;                /* why not: -ENOENT, -EINVAL for a damaged one, and the like */
    struct nvl_manifest *manifest; /* for this room */
    bool loaded;                   /* the kernel module's version */
    bool pending;                  /* installed on the host, but not the loaded one: the next boot loads it */
    size_t in_use; /* running containers that have it mounted; 0 until nvl_bundles_count_users */
};
struct nvl_bundles {
    struct nvl_bundle *items; /* newest first */
    size_t count;
};

int nvl_bundles_list(const struct nvl_root *root, const struct nvl_driver_version *loaded,
                     const struct nvl_userspace *us, struct nvl_bundles *bundles, struct nvl_error *err);
/* Reads every process's mounts, so only on request. */
void nvl_bundles_count_users(const struct nvl_root *root, struct nvl_bundles *bundles);
void nvl_bundles_clear(struct nvl_bundles *bundles);

/* Whether the bundle of `version` exists and is complete. */
bool nvl_bundle_is_present(const struct nvl_root *root, const char *version);
/* Whether the version is installed and not loaded: the next boot loads it. Without a module that is the
 * newest one. */
bool nvl_version_is_pending(const char *version, const struct nvl_driver_version *loaded,
                            const struct nvl_userspace *us);

/* Removes what a killed sync or a killed removal has left. */
int nvl_bundles_sweep(const struct nvl_root *root, struct nvl_error *err);
/* Removes one, unless it is loaded, pending or in use (checked again under the lock): then -EBUSY. */
int nvl_bundle_remove(const struct nvl_root *root, const struct nvl_bundle *bundle, struct nvl_error *err);
