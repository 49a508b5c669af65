/* The linker's configuration, and in its comments what nvlxc has made in the root file system: folders, and
 * links. The container can write what it likes there: to be named is no more than a hint where to look, at
 * places of the table alone. Not public: for this room. */
#pragma once

#include "inject/file_table.h"

struct nvl_made {
    char *text; /* the file; NULL where it cannot be read */
    struct nvl_strv folders, links;
};

/* All zero where there is no such file. */
void nvl_made_read(const struct nvl_root *rootfs, struct nvl_made *made);
void nvl_made_clear(struct nvl_made *made);
/* Leaves only such folders as the table has, outer ones first. */
void nvl_made_keep_known(struct nvl_made *made, const struct nvl_places *places);
/* Whether there can be such a file: nothing reads it in an image without its folder. */
bool nvl_made_can_be_kept(const struct nvl_root *rootfs, const struct nvl_made *made);
/* Writes the file where it differs from what was read. */
int nvl_made_write(const struct nvl_root *rootfs, const struct nvl_made *made, bool with_32);

/* Removes those folders that none of `keep` is (NULL: all go), inner ones first, where they are empty, and
 * takes them off the list. -errno of the first that could not be, which is not for being in use or gone. */
int nvl_made_remove(const struct nvl_root *rootfs, struct nvl_made *made, const struct nvl_strv *keep);
