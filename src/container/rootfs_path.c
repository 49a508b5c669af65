/* Finds a container's root file system by its config, and decides whether root may enter it. */
#include "container/rootfs_path.h"

#include <errno.h>
#include <fcntl.h>

#include "base/root.h"
#include "base/visit.h"
#include "container/container.h"
#include "container/subids.h"
#include "container/users.h"

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

/* Whether the files give these ids to the user, as newuidmap(1) sees it; the user's own id needs no line.
 * -EPERM if not; else the error that leaves it unknown. */
static int check_mapping(const struct nvl_root *root, const struct nvl_user *user,
                         const struct nvl_mapping *m, char **why)
{
    const char *file = m->kind == 'u' ? "/etc/subuid" : "/etc/subgid";
    unsigned last = m->outside + m->count - 1;

    if (m->count == 1 && m->outside == (m->kind == 'u' ? user->uid : user->gid))
        return 0;
    int has = nvl_subids_have(root, file, user->name, user->uid, m->outside, m->count);
    if (has == 1)
        return 0;
    *why =
        has == 0
            ? nvl_xasprintf("its lxc.idmap maps the ids %u to %u, which %s does not give %s", m->outside,
                            last, file, user->name)
            : nvl_xasprintf("its lxc.idmap maps the ids %u to %u, and nobody knows whether they are %s's: %s",
                            m->outside, last, user->name,
                            has == -ENOTSUP ? "nsswitch.conf takes them from elsewhere" : strerror(-has));
    return has == 0 ? -EPERM : has;
}

/* Users write their own configs: neither the map nor the path in it is more than a claim. The ids must be the
 * user's, and the root file system must belong to one of them. */
static int check_users_claim(const struct nvl_root *root, const struct nvl_user *user,
                             const struct nvl_idmap *map, const struct stat *st, const char *path, char **why)
{
    unsigned inside;
    int r = 0;

    if (map->privileged || map->uid0 == 0) {
        *why = nvl_xasprintf("%s does not belong to the container's root", path);
        return -EPERM;
    }
    for (size_t i = 0; i < map->count && r == 0; i++)
        r = check_mapping(root, user, &map->items[i], why);
    if (r < 0 || st->st_uid == user->uid || nvl_idmap_inside(map, 'u', st->st_uid, &inside))
        return r;
    *why = nvl_xasprintf("%s belongs to user %u, who is neither %s nor one of the container", path,
                         (unsigned)st->st_uid, user->name);
    return -EPERM;
}

static int check_rootfs(const struct nvl_root *root, const struct nvl_container *c,
                        const struct nvl_idmap *map, int fd, const char *path, char **why)
{
    struct stat st, top;

    if (fstat(fd, &st) < 0 || fstat(root->fd, &top) < 0) {
        int r = -errno;
        *why = nvl_xasprintf("cannot examine %s: %s", path, strerror(-r));
        return r;
    }
    if (st.st_dev == top.st_dev && st.st_ino == top.st_ino) {
        *why = nvl_xasprintf("%s is the host's own root directory", path);
        return -EPERM;
    }
    return c->owner != NULL ? check_users_claim(root, c->owner, map, &st, path, why) : 0;
}

char *nvl_container_rootfs_path(const struct nvl_container *c, const struct nvl_effective *effective,
                                char **why)
{
    return c->kind == NVL_CONTAINER_PVE ? pve_path(effective, why) : lxc_path(effective, why);
}

/* A user's is reached with the user's rights: another's that happens to have the same ids lies out of reach.
 */
static int open_folder(const struct nvl_root *root, const struct nvl_container *c, const char *path)
{
    struct nvl_own_rights own;

    if (c->owner == NULL)
        return nvl_root_openat(root, path, O_PATH | O_DIRECTORY);
    nvl_user_become(root, c->owner, &own);
    int fd = nvl_root_openat(root, path, O_PATH | O_DIRECTORY);
    nvl_user_resume(&own);
    return fd;
}

static int open_checked(const struct nvl_root *root, const struct nvl_container *c,
                        const struct nvl_idmap *map, const char *path, struct nvl_root *rootfs, char **why)
{
    nvl_autofd int fd = open_folder(root, c, path);

    if (fd < 0) {
        *why = fd == -EACCES && c->owner != NULL ? nvl_xasprintf("%s is out of reach for %s", path, c->user)
                                                 : nvl_xasprintf("cannot open %s: %s", path, strerror(-fd));
        return fd == -EACCES && c->owner != NULL ? -EPERM : fd;
    }
    int r = check_rootfs(root, c, map, fd, path, why);
    if (r == 0)
        nvl_root_from_fd(rootfs, TAKE_FD(fd), path);
    return r;
}

int nvl_container_open_rootfs(const struct nvl_root *root, const struct nvl_container *c,
                              const struct nvl_effective *effective, const struct nvl_idmap *map,
                              struct nvl_root *rootfs, char **why)
{
    nvl_autofree char *path = nvl_container_rootfs_path(c, effective, why);

    if (path == NULL)
        return -ENOENT;
    int r = c->owner != NULL ? nvl_user_visit(root, c->owner) : 0;
    if (r < 0) {
        *why = nvl_xasprintf("the home of %s does not answer", c->user);
        return r;
    }
    r = open_checked(root, c, map, path, rootfs, why);
    if (r == 0)
        rootfs->is_visited = c->owner != NULL;
    else if (c->owner != NULL)
        nvl_visit_end();
    return r;
}

/* The kernel resolves these links, so they are opened before the root handle takes over. */
int nvl_container_open_running(const struct nvl_container *c, pid_t init, struct nvl_root *rootfs)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%d/root", (int)init),
                      *mounts = nvl_xasprintf("/proc/%d/ns/mnt", (int)init),
                      *whom = nvl_xasprintf("container %s%s%s", c->user != NULL ? c->user : "",
                                            c->user != NULL ? "/" : "", c->lxc_name);

    int r = nvl_visit_begin(whom, open(mounts, O_RDONLY | O_CLOEXEC));
    if (r < 0)
        return r;
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        r = -errno;
        nvl_visit_end();
        return r;
    }
    nvl_root_from_fd(rootfs, fd, path);
    rootfs->is_visited = true;
    return 0;
}
