/* The linker's configuration. Its comments note the folders and links that nvlxc has made in the root file
 * system. The container can write anything there, so a note is only a hint where to look, and only at places
 * in the table of inject/files.c. */
#pragma once

#include "base/text.h"

struct nvl_root;

/* The linker's configuration. 00- sorts it before the distribution's own folders, so that the bundle's
 * library wins over one of the same soname. */
#define NVL_LINKER_CONF "/etc/ld.so.conf.d/00-nvlxc.conf"

struct nvl_linker_conf {
    char *text; /* the file; NULL if it cannot be read */
    struct nvl_strv folders, links;
};

/* All zero if there is no such file. */
void nvl_linker_conf_read(const struct nvl_root *rootfs, struct nvl_linker_conf *conf);
void nvl_linker_conf_clear(struct nvl_linker_conf *conf);
/* Drops all noted folders that are not in the table, and sorts the rest, outer ones first. */
void nvl_linker_conf_keep_known(struct nvl_linker_conf *conf, const struct nvl_strv *table);
/* Whether there can be such a file: an image without its folder has nothing that reads it. */
bool nvl_linker_conf_can_be_written(const struct nvl_root *rootfs, const struct nvl_linker_conf *conf);
/* Writes the file if it differs from what was read. */
int nvl_linker_conf_write(const struct nvl_root *rootfs, const struct nvl_linker_conf *conf, bool with_32);

/* Removes noted folders that none of `keep` is (NULL: all go), inner ones first, if they are empty, and takes
 * them off the list. -errno of the first that failed, unless it is in use or gone. */
int nvl_linker_conf_remove_folders(const struct nvl_root *rootfs, struct nvl_linker_conf *conf,
                                   const struct nvl_strv *keep);
