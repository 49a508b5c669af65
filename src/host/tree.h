/* Writes a tree of small files below an empty directory. A part of capture.c. Paths are absolute and mean
 * "below the directory"; parents are made; existing files stay unchanged. */
#pragma once

#include "base/error.h"

int nvl_tree_directory(int dirfd, const char *path, struct nvl_error *err);
int nvl_tree_file(int dirfd, const char *path, const void *data, size_t len, struct nvl_error *err);
int nvl_tree_link(int dirfd, const char *path, const char *target, struct nvl_error *err);
