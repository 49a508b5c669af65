/* The lines of configuration files as modprobe, udev and boot loaders read them: no blank lines, no comments,
 * and folders in which a file hides those with its name in later folders. */
#pragma once

#include "base/root.h"

/* A line without its leading blanks; its number in the file, from 1. */
typedef void nvl_visit_line(void *data, const char *path, size_t number, const char *line);

/* Calls `visit` for each line; a file that cannot be read, or is too large for a configuration file, has
 * none. */
void nvl_visit_config_file(const struct nvl_root *root, const char *path, nvl_visit_line *visit, void *data);
/* The same for the files of that suffix in the folders, in their order; `folders` ends with NULL. */
void nvl_visit_config_folders(const struct nvl_root *root, const char *const *folders, const char *suffix,
                              nvl_visit_line *visit, void *data);
