/* Whole files through descriptors: read all of one, write one so that it is the old or the new, never half.
 */
#pragma once

#include <sys/stat.h>

#include <stdbool.h>

#include "base/error.h"

/* All of a regular file from its beginning, at most `max` bytes (-EFBIG beyond), -EINVAL where it is not a
 * regular file (-EISDIR for a directory). Files of /proc and /sys, whose size is given as 0 or 4096, are read
 * to their end. *data is NUL-terminated and the caller's. */
int nvl_fd_read(int fd, size_t max, char **data, size_t *len);
/* All bytes or an error. */
int nvl_fd_write(int fd, const void *data, size_t len);

/* Replaces (or creates) `name` in the directory: a temporary file beside it (NAME.tmp.PID, O_EXCL), written,
 * given mode and owner, fsynced, renamed over it, the directory fsynced. On any error the old file is as it
 * was and the temporary one is gone. `like` gives mode and owner; NULL means 0644 and the caller's own. On
 * pmxcfs (FUSE) mode and owner are pmxcfs's own and fsync does not exist: both are left out there. */
int nvl_file_replace(int dirfd, const char *name, const void *data, size_t len, const struct stat *like,
                     struct nvl_error *err);
