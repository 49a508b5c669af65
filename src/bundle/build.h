/* A bundle built and brought up to date: what is new is made in a temporary folder beside it, then moved into
 * place, the manifest last. */
#pragma once

#include "base/text.h"
#include "bundle/copy.h"
#include "bundle/select.h"

struct nvl_userspace;

struct nvl_sync_result {
    bool changed;   /* something was written; with dry_run: would be */
    size_t n_files; /* in the bundle, without links */
    uint64_t bytes; /* of those */
    struct nvl_missing missing;
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
void nvl_sync_result_clear(struct nvl_sync_result *result);
