/* Builds and updates a bundle: new files are made in a temporary folder beside it, then moved into place, the
 * manifest last. */
#pragma once

#include "base/text.h"
#include "bundle/copy.h"
#include "bundle/select.h"

struct nvl_userspace;

struct nvl_sync_result {
    bool changed;   /* something was written; with dry_run: would be */
    size_t n_files; /* in the bundle, without links */
    uint64_t bytes; /* of those */
    struct nvl_selection selection;
};

/* Builds the bundle of `version` from what is installed on the host: in a temporary folder beside it (reflink
 * if the file system can, a checksum while copying), fsynced, renamed. An existing bundle is updated in
 * place, since containers have it mounted: what is new or has another size, time or source is copied, each
 * file replaced whole, the manifest last; what the host no longer has stays. Reads no file if nothing has
 * changed. With dry_run only the result is filled in. -ENOENT if that version's libcuda and libnvidia-ml are
 * not installed; -EAGAIN if another sync is still at work after a minute; -ENOSPC with the needed and the
 * free space. After an error the bundle is unchanged. */
int nvl_bundle_sync(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                    bool dry_run, nvl_progress_fn *progress, void *progress_data,
                    struct nvl_sync_result *result, struct nvl_error *err);
void nvl_sync_result_clear(struct nvl_sync_result *result);

/* From now on the driver's files are looked for in `folder` first (host/driver_folder.h); "" forgets it.
 * Writes nothing if that is so already. */
int nvl_bundle_remember_folder(const struct nvl_root *root, const char *folder, struct nvl_error *err);
