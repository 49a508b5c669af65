/* What a command is told to write into a file instead of printing it. */
#pragma once

#include "base/root.h"

/* Below the root; on the machine itself also from the current folder. The caller frees *path. */
int nvl_output_path(const struct nvl_root *root, const char *file, char **path, struct nvl_error *err);
/* Whether the file has that text. */
bool nvl_output_has(const struct nvl_root *root, const char *path, const char *text);
/* Replaces the file as a whole: somebody else may read it at any time. -EEXIST where something is there that
 * is no regular file: a device, say. With `changed` it stays as it is where it has that text already, which
 * *changed says. */
int nvl_output_write(const struct nvl_root *root, const char *path, const char *text, bool *changed,
                     struct nvl_error *err);
