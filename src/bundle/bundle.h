/* Driver bundles: /var/lib/nvlxc/driver/VERSION/{bin,lib64,lib32,share,etc} with `sonames` and
 * `manifest.json`. */
#pragma once

#include "bundle/catalog.h"
#include "host/userspace.h"

/* Called while files are copied; done and total are bytes. */
typedef void nvl_progress_fn(void *data, const char *file, uint64_t done, uint64_t total);

struct nvl_sync_result {
    bool changed;            /* something was written; with dry_run: would be */
    size_t n_files;          /* in the bundle, without links */
    uint64_t bytes;          /* of those */
    struct nvl_strv missing; /* one line for each capability that lacks something: "video:
                              * libnvidia-encode.so.1 is not installed: apt install libnvidia-encode1" */
};

/* Builds the bundle of `version` from what is installed on the host: into a temporary folder beside it
 * (reflink where the file system can, a checksum while copying), fsynced, renamed. One that is there is
 * brought up to date in place, since containers have it mounted: what is new or has another size, time or
 * source is copied, each file replaced whole, the manifest last; what the host no longer has stays. No file
 * is read where nothing has changed. With dry_run only the result is filled in. -ENOENT where that version's
 * libcuda and libnvidia-ml are not installed; -EAGAIN where another sync is still at work after a minute;
 * -ENOSPC with what is needed and free. After an error the bundle is as it was. */
int nvl_bundle_sync(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                    bool dry_run, nvl_progress_fn *progress, void *progress_data,
                    struct nvl_sync_result *result, struct nvl_error *err);
/* What the bundle of that version lacks, as a sync would say. -ENOENT as there. */
int nvl_bundle_lacks(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                     struct nvl_strv *missing, struct nvl_error *err);
void nvl_sync_result_clear(struct nvl_sync_result *result);

struct nvl_bundle {
    char version[NVL_VERSION_MAX];
    uint64_t bytes;
    size_t n_files;
    bool complete;                 /* has a manifest that can be read */
    int unreadable;                /* why not: -ENOENT, -EINVAL for a damaged one, and the like */
    struct nvl_manifest *manifest; /* for this room */
    bool loaded;                   /* the kernel module's version */
    bool pending;                  /* installed on the host, but not the loaded one: the next boot's */
    size_t in_use; /* running containers that have it mounted; 0 until nvl_bundles_count_users */
};
struct nvl_bundles {
    struct nvl_bundle *items; /* newest first */
    size_t count;
};

int nvl_bundles_list(const struct nvl_root *root, const struct nvl_driver_version *loaded,
                     const struct nvl_userspace *us, struct nvl_bundles *bundles, struct nvl_error *err);
/* Looks into every process: for those who ask. */
void nvl_bundles_count_users(const struct nvl_root *root, struct nvl_bundles *bundles);
void nvl_bundles_clear(struct nvl_bundles *bundles);

/* Removes one, unless it is loaded, pending or in use (looked at again under the lock): then -EBUSY.
 * Left-over temporary folders of a sync that died go too. */
int nvl_bundle_remove(const struct nvl_root *root, const struct nvl_bundle *bundle, struct nvl_error *err);

/* Whether the bundle of `version` is there, complete. */
bool nvl_bundle_is_present(const struct nvl_root *root, const char *version);
