/* System calls in the house's form: each gives a descriptor or 0, or a negative errno. openat2 has no wrapper
 * in the C library; the mount calls have (glibc 2.36, Debian 12). Sources: openat2(2), mount_setattr(2), the
 * kernel's Documentation/filesystems/mount_api.rst. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

int nvl_sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
/* A detached copy of the one mount at `path` (no mounts below it), no link followed at the last component;
 * path "" copies what dirfd refers to. */
int nvl_sys_clone_mount(int dirfd, const char *path);
/* The same with the mounts below it. */
int nvl_sys_clone_tree(int dirfd, const char *path);
/* Moves the detached mount `from` onto what the descriptor `to` refers to. */
int nvl_sys_move_mount(int from, int to);
/* The same onto the name `path` below dirfd, no link followed at the last component: for folders that nobody
 * else can write. */
int nvl_sys_move_mount_at(int from, int dirfd, const char *path);
/* Sets MOUNT_ATTR_* on the mount that `fd` is the root of, and makes it private: a clone would else be the
 * source's peer, and what a container mounts on the one would show on the other, on the host. */
int nvl_sys_set_mount_flags(int fd, uint64_t flags);
/* Only that, of the mount and of all below it. */
int nvl_sys_make_private(int fd);
/* A new, detached, empty tmpfs (nosuid, nodev, noexec) with this mode for its root ("0755"). */
int nvl_sys_new_tmpfs(const char *mode);
