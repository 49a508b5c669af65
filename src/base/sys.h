/* System calls with nvlxc's calling convention: each returns a descriptor or 0, or a negative errno. openat2
 * has no wrapper in the C library; the mount calls have one (glibc 2.36, Debian 12). Sources: openat2(2),
 * mount_setattr(2), the kernel's Documentation/filesystems/mount_api.rst. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

int nvl_sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
/* A detached copy of the mount at `path` (without mounts below it), following no link at the last component;
 * path
 * "" copies what dirfd refers to. */
int nvl_sys_clone_mount(int dirfd, const char *path);
/* The same with the mounts below it. */
int nvl_sys_clone_tree(int dirfd, const char *path);
/* Moves the detached mount `from` onto what the descriptor `to` refers to. */
int nvl_sys_move_mount(int from, int to);
/* The same onto the name `path` below dirfd, following no link at the last component: for folders that nobody
 * else can write. */
int nvl_sys_move_mount_at(int from, int dirfd, const char *path);
/* Sets MOUNT_ATTR_* on the mount whose root is `fd`, and makes it private: a clone would otherwise be a peer
 * of its source, and what a container mounts on it would appear on the host's. */
int nvl_sys_set_mount_flags(int fd, uint64_t flags);
/* Makes the mount and all below it private, nothing else. */
int nvl_sys_make_private(int fd);
/* A new, detached, empty tmpfs (nosuid, nodev, noexec) with this mode for its root ("0755"). */
int nvl_sys_new_tmpfs(const char *mode);
