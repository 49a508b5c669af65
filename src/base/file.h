/* Whole files through descriptors: reads a file completely, and writes one so that it is the old or the new,
 * never half. */
#pragma once

#include <sys/stat.h>

#include <stdbool.h>

#include "base/error.h"

/* Reads a regular file from its beginning, at most `max` bytes (-EFBIG beyond); -EINVAL if it is not a
 * regular file (-EISDIR for a directory). Files of /proc and /sys, whose size is given as 0 or 4096, are read
 * to their end. *data is NUL-terminated and the caller's. */
int nvl_fd_read(int fd, size_t max, char **data, size_t *len);
/* Writes all bytes, or returns an error. */
int nvl_fd_write(int fd, const void *data, size_t len);

/* Replaces (or creates) `name` in the directory: writes a temporary file beside it (NAME.nvlxc.PID, O_EXCL),
 * gives it mode and owner, fsyncs it, renames it over `name` and fsyncs the directory. On any error the old
 * file is unchanged and the temporary one is gone. What a killed one left goes first: its writer holds a lock
 * on it, which ends with the process, in whatever PID namespace that was. `like` gives mode and owner; NULL
 * means 0644 and the caller's own. On pmxcfs (FUSE) mode and owner are pmxcfs's own and fsync does not exist:
 * both are left out there. */
int nvl_file_replace(int dirfd, const char *name, const void *data, size_t len, const struct stat *like,
                     struct nvl_error *err);
