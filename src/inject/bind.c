/* Puts a single thing of the host into the container's root file system. */
#include "inject/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/root.h"
#include "base/sys.h"
#include "host/node.h"

static bool is_device(const struct stat *st, const struct nvl_node *node)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev((unsigned)node->major, (unsigned)node->minor);
}

bool nvl_bind_has_node(const struct nvl_root *rootfs, const struct nvl_node *node)
{
    struct stat st;

    return node->major >= 0 && nvl_root_stat(rootfs, node->path, AT_SYMLINK_NOFOLLOW, &st) == 0 &&
           is_device(&st, node);
}

bool nvl_bind_is(int fd, int other)
{
    struct stat one, two;

    return fstat(fd, &one) == 0 && fstat(other, &two) == 0 && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

bool nvl_bind_is_mount(int fd)
{
    struct statx st;

    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st) == 0 &&
           (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

void nvl_bind_folder_close(struct nvl_bind_folder *folder)
{
    nvl_close_ptr(&folder->fd);
    *folder = NVL_BIND_FOLDER_NONE;
}

/* Opens the node's folder as `folder`, and returns the node's name in it. */
static const char *enter_bind_folder(const struct nvl_root *root, struct nvl_bind_folder *folder,
                                     const char *path)
{
    size_t len = (size_t)(strrchr(path, '/') - path);

    if (strlen(folder->path) != len || memcmp(folder->path, path, len) != 0) {
        nvl_bind_folder_close(folder);
        nvl_copy(folder->path, sizeof folder->path, path, len);
        folder->fd = nvl_root_openat(root, folder->path, O_PATH | O_DIRECTORY);
    }
    return path + len + 1;
}

/* Checks through the mount itself, so that what is checked is what is mounted. */
static int clone_node(int folder, const char *name, const struct nvl_node *node)
{
    struct stat st;
    nvl_autofd int mount_fd = nvl_sys_clone_mount(folder, name);

    if (mount_fd < 0)
        return mount_fd;
    if (fstat(mount_fd, &st) < 0)
        return -errno;
    if (node->major < 0 || !is_device(&st, node))
        return -ENODEV;
    int r = nvl_sys_set_mount_flags(mount_fd, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    return r < 0 ? r : TAKE_FD(mount_fd);
}

int nvl_bind_open_node(const struct nvl_root *host, int copies, struct nvl_bind_folder *folder,
                       const struct nvl_node *node, bool *is_copy)
{
    const char *name = enter_bind_folder(host, folder, node->path);
    int mount_fd = copies >= 0 ? clone_node(copies, name, node) : -ENOENT;

    *is_copy = mount_fd >= 0;
    if (mount_fd < 0 && !nvl_is_trouble(mount_fd))
        mount_fd = folder->fd < 0 ? folder->fd : clone_node(folder->fd, name, node);
    return mount_fd;
}

/* What is there while the container's copy is to be mounted; all are files of one devtmpfs. */
enum there {
    THERE_IT_IS,
    THERE_HOSTS_OWN, /* which a mount entry brought, for it or for /dev/dri as a whole: to be covered */
    THERE_OLD_COPY,  /* it has lost its name, so nothing can be mounted on it, and has other rights */
};

static enum there compare_node(const struct stat *there, int mount_fd)
{
    struct stat copy;

    if (fstat(mount_fd, &copy) < 0 || copy.st_dev != there->st_dev || copy.st_ino == there->st_ino)
        return THERE_IT_IS;
    if (there->st_nlink > 0)
        return THERE_HOSTS_OWN;
    return copy.st_uid == there->st_uid && copy.st_gid == there->st_gid && copy.st_mode == there->st_mode
               ? THERE_IT_IS
               : THERE_OLD_COPY;
}

int nvl_bind_unmount(int folder, const char *name)
{
    if (fchdir(folder) < 0)
        return -errno;
    int r = umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
    return chdir("/") < 0 ? -errno : r;
}

/* /dev is LXC's mount; what is mounted below it, /dev/dri for one, is somebody else's, and gets no new file.
 */
static bool is_others_folder(const struct nvl_bind_folder *folder)
{
    return strcmp(folder->path, "/dev") != 0 && nvl_bind_is_mount(folder->fd);
}

/* The file to mount on: a new one, an existing empty one, or the host's node that the copy covers. 1 if it is
 * the device itself. */
static int open_node_target(const struct nvl_bind_folder *folder, const char *name,
                            const struct nvl_node *node, int mount_fd, int *target)
{
    bool is_others = is_others_folder(folder);
    struct stat st;

    *target =
        is_others ? -1 : openat(folder->fd, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (*target >= 0)
        return 0;
    nvl_autofd int fd =
        is_others || errno == EEXIST ? openat(folder->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &st) < 0)
        return is_others && errno == ENOENT ? -EXDEV : -errno;
    if (!is_device(&st, node)) {
        if (!S_ISREG(st.st_mode) || st.st_size > 0)
            return -EEXIST;
    } else if (compare_node(&st, mount_fd) == THERE_IT_IS) {
        return 1;
    }
    *target = TAKE_FD(fd);
    return 0;
}

/* Only in a container that runs: what is mounted at its start is new. */
static int unmount_old_copy(const struct nvl_bind_folder *folder, const char *name,
                            const struct nvl_node *node, int mount_fd)
{
    struct stat st;

    if (fstatat(folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !is_device(&st, node) ||
        compare_node(&st, mount_fd) != THERE_OLD_COPY)
        return 0;
    return nvl_bind_unmount(folder->fd, name);
}

int nvl_bind_put_node(const struct nvl_root *rootfs, struct nvl_bind_folder *folder,
                      const struct nvl_node *node, int mount_fd, bool is_running)
{
    nvl_autofd int target = -1;
    const char *name = enter_bind_folder(rootfs, folder, node->path);

    if (folder->fd == -ENOENT) { /* /dev/dri, /dev/nvidia-caps */
        int r = nvl_root_make_folder(rootfs, folder->path);
        if (r < 0)
            return r;
        folder->fd = nvl_root_openat(rootfs, folder->path, O_PATH | O_DIRECTORY);
    }
    if (folder->fd < 0)
        return folder->fd;
    int r = is_running ? unmount_old_copy(folder, name, node, mount_fd) : 0;
    if (r == 0)
        r = open_node_target(folder, name, node, mount_fd, &target);
    return r != 0 ? r : nvl_sys_move_mount(mount_fd, target);
}
