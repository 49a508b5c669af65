/* Finds a container's root file system by its config, and decides whether root may enter it. */
#include "container/rootfs_path.h"

#include <errno.h>
#include <fcntl.h>

#include "base/root.h"
#include "container/container.h"

/* "rootfs: [volume=]STORAGE:VOLUME,size=8G": only a plain path is a directory that can be opened. */
static const char *pve_volume(const struct nvl_effective *effective)
{
    const char *value = nvl_effective_get(effective, "rootfs");

    return value != NULL && nvl_has_prefix(value, "volume=") ? value + strlen("volume=") : value;
}

bool nvl_rootfs_is_on_storage(const struct nvl_effective *effective)
{
    const char *value = pve_volume(effective);

    return value != NULL && value[0] != '/' && strchr(value, ':') != NULL;
}

static char *pve_path(const struct nvl_effective *effective, char **why)
{
    const char *value = pve_volume(effective);

    if (value == NULL || *value == '\0') {
        *why = nvl_xstrdup("its config names no root file system");
        return NULL;
    }
    if (value[0] == '/')
        return nvl_xstrndup(value, strcspn(value, ","));
    *why = nvl_xasprintf("its root file system is on storage %.*s, not a directory",
                         (int)strcspn(value, ":,"), value);
    return NULL;
}

/* "lxc.rootfs.path = [TYPE:]PATH": lxc.container.conf(5). A btrfs subvolume is a directory too. */
static char *lxc_path(const struct nvl_effective *effective, char **why)
{
    static const char *const directories[] = {"dir:", "btrfs:"};
    const char *value = nvl_effective_get(effective, "lxc.rootfs.path");

    if (value == NULL || *value == '\0')
        value = nvl_effective_get(effective, "lxc.rootfs");
    if (value == NULL || *value == '\0') {
        *why = nvl_xstrdup("its config names no root file system");
        return NULL;
    }
    for (size_t i = 0; i < NVL_LENGTH(directories); i++)
        if (nvl_has_prefix(value, directories[i]))
            value += strlen(directories[i]);
    if (value[0] == '/')
        return nvl_xstrdup(value);
    *why = nvl_xasprintf("its root file system is of type %.*s, not a directory", (int)strcspn(value, ":"),
                         value);
    return NULL;
}

/* Users write their own configs: a path must not lead root into a root file system that is not theirs. Theirs
 * belongs to the container's root, who is never the host's. */
static char *refusal(const struct nvl_root *root, const struct nvl_container *c, const struct nvl_idmap *map,
                     int fd, const char *path)
{
    struct stat st, top;

    if (fstat(fd, &st) < 0 || fstat(root->fd, &top) < 0)
        return nvl_xasprintf("cannot examine %s: %s", path, strerror(errno));
    if (st.st_dev == top.st_dev && st.st_ino == top.st_ino)
        return nvl_xasprintf("%s is the host's own root directory", path);
    if (c->user != NULL && (map->privileged || map->uid0 == 0 || st.st_uid != map->uid0))
        return nvl_xasprintf("%s does not belong to the container's root", path);
    return NULL;
}

char *nvl_container_rootfs_path(const struct nvl_container *c, const struct nvl_effective *effective,
                                char **why)
{
    return c->kind == NVL_CONTAINER_PVE ? pve_path(effective, why) : lxc_path(effective, why);
}

int nvl_container_open_rootfs(const struct nvl_root *root, const struct nvl_container *c,
                              const struct nvl_effective *effective, const struct nvl_idmap *map,
                              struct nvl_root *rootfs, char **why)
{
    nvl_autofree char *path = nvl_container_rootfs_path(c, effective, why);

    if (path == NULL)
        return -ENOENT;
    nvl_autofd int fd = nvl_root_openat(root, path, O_PATH | O_DIRECTORY);
    if (fd < 0) {
        *why = nvl_xasprintf("cannot open %s: %s", path, strerror(-fd));
        return fd;
    }
    *why = refusal(root, c, map, fd, path);
    if (*why != NULL)
        return -EPERM;
    nvl_root_from_fd(rootfs, TAKE_FD(fd), path);
    return 0;
}

/* The kernel resolves that link, so it is opened before the root handle takes over. */
int nvl_container_open_running(pid_t init, struct nvl_root *rootfs)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%d/root", (int)init);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    nvl_root_from_fd(rootfs, fd, path);
    return 0;
}
