/* The container's dynamic linker: whether it can load the driver at all, and its cache. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

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
