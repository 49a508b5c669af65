/* Copies the driver's files into a folder: shared with the source where the file system can (reflink), hashed
 * on the way. Not public: for this room. */
#pragma once

#include "bundle/bundle.h"
#include "bundle/manifest.h"

struct nvl_copier {
    const struct nvl_root *root; /* of the sources */
    int dirfd;                   /* the copies' folder */
    uint64_t done, total;        /* bytes of all files of this sync */
    nvl_progress_fn *progress;   /* may be NULL */
    void *progress_data;
    bool is_space_checked;
};

/* Makes the copy of one file at its path in the bundle, with mode and the source's time, synced; fills in its
 * checksum and soname, and size and mtime as they were while it was copied. Nothing is begun that the space
 * that is free would not hold: -ENOSPC without an error text. */
int nvl_copy_file(struct nvl_copier *copier, struct nvl_bundle_file *file, struct nvl_error *err);
