/* The container's dynamic linker: its configuration and its cache. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include "base/text.h"

struct nvl_error;
struct nvl_root;

/* Whether the root file system's cache gives the bundle's file for each line of `sonames` ("lib64
 * libcuda.so.1"), with the bundle mounted at `home`. lib32 lines count only with want_32; without it the
 * cache must name none of them. */
bool nvl_linker_is_current(const struct nvl_root *rootfs, const char *home, const char *sonames, size_t len,
                           bool want_32);
/* Whether the cache names anything of a bundle. */
bool nvl_linker_names_bundle(const struct nvl_root *rootfs);

/* Opens the host's ldconfig while the host is still visible: -errno if there is none. */
int nvl_ldconfig_open(const struct nvl_root *host);
/* Removes the notes that an ldconfig of a start that was killed has kept for itself. */
void nvl_ldconfig_sweep(const struct nvl_root *rootfs);
struct nvl_ids {
    uid_t uid; /* -1: stay */
    gid_t gid;
};
/* Runs it on the root file system, in a child that is confined to that (base/confine.h) as `as`, the
 * container's root; NULL if the calling process is so already. If it fails, the message says why, and nothing
 * half made stays; -ENOEXEC if it is not a static program, since the container's loader would run. */
int nvl_ldconfig_run(const struct nvl_root *rootfs, int ldconfig_fd, const struct nvl_ids *as,
                     struct nvl_error *err);

/* The linker's configuration. 00- sorts it before the distribution's own folders, so that the bundle's
 * library wins over one of the same soname. */
#define NVL_LINKER_CONF "/etc/ld.so.conf.d/00-nvlxc.conf"

struct nvl_linker_conf {
    char *text; /* the file; NULL if it cannot be read */
    size_t len;
    const char *home; /* the one of nvl_homes that it names; NULL for none */
    struct nvl_strv folders, links;
};

/* All zero if there is no such file. In an image that can have none, a small file in the home, which the
 * mounted bundle covers, notes the folders. */
void nvl_linker_conf_read(const struct nvl_root *rootfs, struct nvl_linker_conf *conf);
void nvl_linker_conf_clear(struct nvl_linker_conf *conf);
/* Drops all noted folders that are not in the table, and sorts the rest, outer ones first. */
void nvl_linker_conf_keep_known(struct nvl_linker_conf *conf, const struct nvl_strv *table);
/* Whether there can be such a file: an image without its folder has nothing that reads it. */
bool nvl_linker_conf_can_be_written(const struct nvl_root *rootfs, const struct nvl_linker_conf *conf);
/* Writes the file for conf->home if it differs from what was read. */
int nvl_linker_conf_write(const struct nvl_root *rootfs, const struct nvl_linker_conf *conf, bool with_32);
/* The note in the home that stands in for it. */
#define NVL_HOME_NOTE ".nvlxc"
int nvl_home_note_write(const struct nvl_root *rootfs, const struct nvl_linker_conf *conf);
void nvl_home_note_remove(const struct nvl_root *rootfs);

/* Removes noted folders that none of `keep` is (NULL: all go), inner ones first, if they are empty, and takes
 * them off the list. -errno of the first that failed, unless it is in use or gone. */
int nvl_linker_conf_remove_folders(const struct nvl_root *rootfs, struct nvl_linker_conf *conf,
                                   const struct nvl_strv *keep);
