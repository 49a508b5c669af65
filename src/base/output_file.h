/* Output that a command writes to a file instead of printing it. */
#pragma once

#include "base/root.h"

/* The path below the root; on the machine itself a relative one starts in the current folder. The caller
 * frees *path. */
int nvl_output_path(const struct nvl_root *root, const char *file, char **path, struct nvl_error *err);
/* Whether the file has that text. */
bool nvl_output_has(const struct nvl_root *root, const char *path, const char *text);
/* Replaces the file as a whole, since others may read it at any time. -EEXIST if something other than a
 * regular file is there, for example a device. With `changed`, a file that already has that text stays as it
 * is; *changed says whether it was written. */
int nvl_output_write(const struct nvl_root *root, const char *path, const char *text, bool *changed,
                     struct nvl_error *err);
