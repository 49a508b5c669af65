/* System calls with nvlxc's calling convention. */
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"

static int give_result(long value)
{
    return value < 0 ? -errno : (int)value;
}

int nvl_sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};

    return give_result(syscall(SYS_openat2, dirfd, path, &how, sizeof how));
}

static int clone_mount(int dirfd, const char *path, unsigned flags)
{
    flags |= OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
    return give_result(open_tree(dirfd, path, flags));
}

int nvl_sys_clone_mount(int dirfd, const char *path)
{
    return clone_mount(dirfd, path, 0);
}

int nvl_sys_clone_tree(int dirfd, const char *path)
{
    return clone_mount(dirfd, path, AT_RECURSIVE);
}

int nvl_sys_move_mount(int from, int to)
{
    return give_result(move_mount(from, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

int nvl_sys_move_mount_at(int from, int dirfd, const char *path)
{
    return give_result(move_mount(from, "", dirfd, path, MOVE_MOUNT_F_EMPTY_PATH));
}

int nvl_sys_set_mount_flags(int fd, uint64_t flags)
{
    struct mount_attr attr = {.attr_set = flags, .propagation = MS_PRIVATE};

    return give_result(mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr));
}

int nvl_sys_make_private(int fd)
{
    struct mount_attr attr = {.propagation = MS_PRIVATE};

    return give_result(mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr));
}

int nvl_sys_new_tmpfs(const char *mode)
{
    nvl_autofd int fs = give_result(fsopen("tmpfs", FSOPEN_CLOEXEC));
    int r = fs;

    if (r >= 0)
        r = give_result(fsconfig(fs, FSCONFIG_SET_STRING, "mode", mode, 0));
    if (r >= 0)
        r = give_result(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
    if (r >= 0)
        r = give_result(
            fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
    return r;
}
