/* Putting one thing of the host into the container's root file system. */
#include "hook/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/sys.h"

int nvl_bind_attach(const struct nvl_root *rootfs, const char *path, int mount_fd)
{
    nvl_autofd int target = nvl_root_openat(rootfs, path, O_PATH | O_NOFOLLOW);

    return target < 0 ? target : nvl_sys_move_mount(mount_fd, target);
}

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

/* A detached copy of the host's node, looked at through its own descriptor: what is checked is what is
 * mounted. */
static int clone_node(const struct nvl_root *host, const struct nvl_node *node)
{
    struct stat st;
    nvl_autofd int source = nvl_root_openat(host, node->path, O_PATH | O_NOFOLLOW);

    if (source < 0)
        return source;
    if (fstatat(source, "", &st, AT_EMPTY_PATH) < 0)
        return -errno;
    if (node->major < 0 || !is_device(&st, node))
        return -ENODEV;
    nvl_autofd int mount_fd = nvl_sys_clone_mount(source, "");
    if (mount_fd < 0)
        return mount_fd;
    int r = nvl_sys_set_mount_flags(mount_fd, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    return r < 0 ? r : TAKE_FD(mount_fd);
}

/* The file to mount on: made, or an empty one that is there already. 1 where it is the device itself. */
static int open_target(int parent, const char *name, const struct nvl_node *node, int *target)
{
    struct stat st;

    nvl_autofd int fd = openat(parent, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0 && errno == EEXIST)
        fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return -errno;
    if (is_device(&st, node))
        return 1;
    if (!S_ISREG(st.st_mode) || st.st_size > 0)
        return -EEXIST;
    *target = TAKE_FD(fd);
    return 0;
}

int nvl_bind_node(const struct nvl_root *host, const struct nvl_root *rootfs, const struct nvl_node *node)
{
    const char *name;
    nvl_autofd int mount_fd = clone_node(host, node);

    if (mount_fd < 0)
        return mount_fd;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, node->path, &name);
    if (parent == -ENOENT) { /* /dev/dri, /dev/nvidia-caps */
        nvl_autofree char *folder = nvl_xstrndup(node->path, (size_t)(name - node->path) - 1);
        int r = nvl_root_make_folder(rootfs, folder);
        if (r < 0)
            return r;
        parent = nvl_root_open_parent(rootfs, node->path, &name);
    }
    if (parent < 0)
        return parent;
    nvl_autofd int target = -1;
    int r = open_target(parent, name, node, &target);
    return r != 0 ? r : nvl_sys_move_mount(mount_fd, target);
}
