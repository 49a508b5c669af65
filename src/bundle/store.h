/* The folder of bundles, NVL_BUNDLE_DIR: one writer at a time. Not public: for this room. */
#pragma once

#include "base/root.h"

/* How long a sync waits for another. */
#define NVL_STORE_WAIT_MS 60000

/* Makes the folder with its parents, and takes its lock (.lock in it). -EAGAIN if another process still holds
 * it after wait_ms. Removes what a dead sync has left. */
int nvl_store_open(const struct nvl_root *root, unsigned wait_ms, int *dirfd, int *lockfd,
                   struct nvl_error *err);

/* Names of temporary folders in it: of a bundle that is being built, and of one that is being removed. */
char *nvl_store_temporary_name(const char *version);
/* "cannot …: needs 215 MiB, 34 MiB are free" for -ENOSPC, else as nvl_error_errno. */
int nvl_store_error(int dirfd, int code, const char *version, uint64_t needed, struct nvl_error *err);
