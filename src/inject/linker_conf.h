/* The linker's configuration, and in its comments what nvlxc has made in the root file system: folders, and
 * links. The container can write what it likes there: to be named is no more than a hint where to look, only
 * at places of the table in inject/files.c. */
#pragma once

#include "base/text.h"

struct nvl_root;

/* The linker's configuration. 00-: before the distribution's own folders, so that the bundle's library wins
 * over one of the same soname. */
#define NVL_LINKER_CONF "/etc/ld.so.conf.d/00-nvlxc.conf"

struct nvl_linker_conf {
    char *text; /* the file; NULL where it cannot be read */
    struct nvl_strv folders, links;
};

/* All zero where there is no such file. */
void nvl_linker_conf_read(const struct nvl_root *rootfs, struct nvl_linker_conf *conf);
void nvl_linker_conf_clear(struct nvl_linker_conf *conf);
/* Leaves only such folders as the table has, outer ones first. */
void nvl_linker_conf_keep_known(struct nvl_linker_conf *conf, const struct nvl_strv *table);
/* Whether there can be such a file: nothing reads it in an image without its folder. */
bool nvl_linker_conf_can_be_written(const struct nvl_root *rootfs, const struct nvl_linker_conf *conf);
/* Writes the file where it differs from what was read. */
int nvl_linker_conf_write(const struct nvl_root *rootfs, const struct nvl_linker_conf *conf, bool with_32);

/* Removes those folders that none of `keep` is (NULL: all go), inner ones first, where they are empty, and
 * takes them off the list. -errno of the first that could not be, which is not for being in use or gone. */
int nvl_linker_conf_remove_folders(const struct nvl_root *rootfs, struct nvl_linker_conf *conf,
                                   const struct nvl_strv *keep);
