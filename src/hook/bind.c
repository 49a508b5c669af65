/* Putting one thing of the host into the container's root file system. */
#include "hook/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/sys.h"
#include "rootfs/groups.h"
#include "rootfs/own_nodes.h"

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

void nvl_bind_folder_close(struct nvl_bind_folder *folder)
{
    nvl_close_ptr(&folder->host);
    nvl_close_ptr(&folder->rootfs);
    *folder = NVL_BIND_FOLDER_NONE;
}

/* Makes `folder` the one that the node is in, and gives the node's name there. */
static const char *enter_folder(const struct nvl_root *host, struct nvl_bind_folder *folder, const char *path)
{
    size_t len = (size_t)(strrchr(path, '/') - path);

    if (strlen(folder->path) != len || memcmp(folder->path, path, len) != 0) {
        nvl_bind_folder_close(folder);
        nvl_copy(folder->path, sizeof folder->path, path, len);
        folder->host = nvl_root_openat(host, folder->path, O_PATH | O_DIRECTORY);
    }
    return path + len + 1;
}

/* The container's, made where it is missing: /dev/dri, /dev/nvidia-caps. */
static int enter_rootfs(const struct nvl_root *rootfs, struct nvl_bind_folder *folder)
{
    if (folder->rootfs >= 0)
        return 0;
    folder->rootfs = nvl_root_openat(rootfs, folder->path, O_PATH | O_DIRECTORY);
    if (folder->rootfs == -ENOENT) {
        int r = nvl_root_make_folder(rootfs, folder->path);
        if (r < 0)
            return r;
        folder->rootfs = nvl_root_openat(rootfs, folder->path, O_PATH | O_DIRECTORY);
    }
    return folder->rootfs < 0 ? folder->rootfs : 0;
}

/* A detached copy of the host's node, looked at through its own descriptor: what is checked is what is
 * mounted. */
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

/* The file to mount on: made, or an empty one that is there already. 1 where it is the device itself. */
static int open_target(int parent, const char *name, const struct nvl_node *node, int *target)
{
    struct stat st;

    *target = openat(parent, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (*target >= 0)
        return 0;
    nvl_autofd int fd = errno == EEXIST ? openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (is_device(&st, node))
        return 1;
    if (!S_ISREG(st.st_mode) || st.st_size > 0)
        return -EEXIST;
    *target = TAKE_FD(fd);
    return 0;
}

/* The container's own copy belongs to its root by now; whom else it is for, its /etc/group says. Where it has
 * no such group, or one that its ids do not reach, its root alone has the node. */
static int clone_own(int own, const char *name, const struct nvl_node *node, const struct nvl_root *rootfs)
{
    unsigned gid;
    int mount_fd = own >= 0 ? clone_node(own, name, node) : -ENOENT;

    if (mount_fd >= 0 && nvl_group_find(rootfs, nvl_own_node_group(node), &gid))
        (void)!fchownat(mount_fd, "", (uid_t)-1, (gid_t)gid, AT_EMPTY_PATH);
    return mount_fd;
}

int nvl_bind_node(const struct nvl_root *host, int own, const struct nvl_root *rootfs,
                  struct nvl_bind_folder *folder, const struct nvl_node *node)
{
    const char *name = enter_folder(host, folder, node->path);

    if (folder->host < 0)
        return folder->host;
    nvl_autofd int mount_fd = clone_own(own, name, node, rootfs), target = -1;
    if (mount_fd < 0)
        mount_fd = clone_node(folder->host, name, node);
    if (mount_fd < 0)
        return mount_fd;
    int r = enter_rootfs(rootfs, folder);
    if (r == 0)
        r = open_target(folder->rootfs, name, node, &target);
    return r != 0 ? r : nvl_sys_move_mount(mount_fd, target);
}
