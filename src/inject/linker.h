/* The container's dynamic linker: whether it can load the driver at all, and its cache. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include "base/text.h"

struct nvl_error;
struct nvl_root;

/* musl without glibc: it cannot load NVIDIA's libraries (`__register_atfork: symbol not found`). */
bool nvl_linker_is_musl(const struct nvl_root *rootfs);
/* Whether the root file system's cache gives the bundle's file for each line of `sonames` ("lib64
 * libcuda.so.1"), with the bundle mounted at NVL_MOUNT_POINT. lib32 lines count only with want_32; without it
 * the cache must name none of them. */
bool nvl_linker_is_current(const struct nvl_root *rootfs, const char *sonames, size_t len, bool want_32);
/* Whether the cache names anything below NVL_MOUNT_POINT. */
bool nvl_linker_names_bundle(const struct nvl_root *rootfs);

/* Opens the host's ldconfig while the host is still visible: -errno if there is none. */
int nvl_ldconfig_open(const struct nvl_root *host);
/* Runs it on the root file system, in a child that has made that its root, holds no descriptor of the host,
 * has dropped every capability, has switched to uid and gid (the container's root; -1: stay), and has set
 * no_new_privs. */
int nvl_ldconfig_run(const struct nvl_root *rootfs, int ldconfig_fd, uid_t uid, gid_t gid,
                     struct nvl_error *err);

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
