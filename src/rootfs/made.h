/* The linker's configuration, and in its comments the folders that nvlxc has made in the root file system.
 * Not public: for this room. */
#pragma once

#include "rootfs/table.h"

/* The folders that the file names, outer ones first: only such as the table has. The container can write what
 * it likes there: to be named is no more than a hint that an empty folder may go. -ENOENT where there is no
 * such file. */
int nvl_made_read(const struct nvl_root *rootfs, const struct nvl_places *places, struct nvl_strv *made);
/* Whether there can be such a file: nothing reads it in an image without its folder. */
bool nvl_made_can_be_kept(const struct nvl_root *rootfs);
/* Writes the file where it differs. */
int nvl_made_write(const struct nvl_root *rootfs, const struct nvl_strv *made, bool with_32);

/* Removes those folders of `made` that none of `keep` is (NULL: all go), inner ones first, where they are
 * empty, and takes them off the list. -errno of the first that could not be, which is not for being in use
 * or gone. */
int nvl_made_remove(const struct nvl_root *rootfs, struct nvl_strv *made, const struct nvl_strv *keep);
