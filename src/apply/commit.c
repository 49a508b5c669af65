/* Writes a plan. Proxmox and LXC's tools edit the same files, so the config is locked the way they lock it,
 * compared with what the plan was made from, and replaced by a rename: complete or not at all. A daemon does
 * the same with a version. */
#include "apply/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/locks.h"
#include "base/root.h"
#include "base/visit.h"
#include "container/container.h"
#include "container/instances.h"
#include "container/users.h"
#include "host/pve_node.h"
#include "host/system.h"
#include "plan/plan.h"

/* Proxmox's own limit: PVE/LXC/Config.pm locks this file for 10 s at most. */
#define LOCK_DIR     "/run/lock/lxc"
#define LOCK_SECONDS 10
/* Somebody may change other keys of an instance without a pause; while it starts or stops, its daemon changes
 * nothing. */
#define INSTANCE_ROUNDS 100
#define BUSY_MILLIS     100L
/* How often, and after what time, a daemon that forgets is asked whether it still knows. */
#define LOOKS       3
#define LOOK_MILLIS 40L

/* Tells a user without permission that root has it. */
static int lacks_permission(struct nvl_error *err, int code)
{
    if ((code == -EACCES || code == -EPERM) && geteuid() != 0 && err != NULL) {
        err->exit = NVL_EXIT_HOST;
        nvl_error_hint(err, "run it as root");
    }
    return code;
}

/* Returns the locked descriptor: closing it releases the lock. */
static int lock_pve(const struct nvl_root *root, const struct nvl_container *c, struct nvl_error *err)
{
    nvl_autofree char *path = nvl_xasprintf(LOCK_DIR "/pve-config-%s.lock", c->name);
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK;
    nvl_autofd int fd = nvl_root_openat(root, path, flags);

    if (fd == -ENOENT && nvl_root_make_folder(root, LOCK_DIR) == 0)
        fd = nvl_root_openat(root, path, flags);
    if (fd < 0)
        return lacks_permission(err, nvl_error_errno(err, fd, "cannot open the lock file %s", path));
    int r = nvl_lock_wait(fd, LOCK_SECONDS * 1000);
    if (r == -ETIMEDOUT) {
        nvl_autofree char *holder = nvl_lock_holder_text(fd);
        nvl_error_set(err, r, "%s has held the lock %s for more than %d s; nothing was written", holder, path,
                      LOCK_SECONDS);
        nvl_error_hint(
            err, "wait until its task has ended (a start, a backup, pct set), then run the command again");
        return r;
    }
    if (r < 0)
        return nvl_error_errno(err, r, "cannot lock %s", path);
    return TAKE_FD(fd);
}

static int lock_folder(int folder, const struct nvl_container *c, struct nvl_error *err)
{
    int r = nvl_lock_wait(folder, LOCK_SECONDS * 1000);

    if (r == -ETIMEDOUT) {
        nvl_autofree char *holder = nvl_lock_holder_text(folder);
        nvl_error_set(err, r,
                      "%s has held the lock on the folder of %s for more than %d s; nothing was written",
                      holder, c->config_path, LOCK_SECONDS);
        nvl_error_hint(err, "wait until it is done, then run the command again");
        return r;
    }
    return r < 0 ? nvl_error_errno(err, r, "cannot lock the folder of %s", c->config_path) : 0;
}

/* `pct mount` keeps its lock if it fails, and until `pct unmount`. Every other lock belongs to a task. */
static int refuse_lock(const struct nvl_container *c, const char *lock, struct nvl_error *err)
{
    nvl_error_set(err, -EBUSY, "CT %s is locked (lock: %s); nothing was written", c->name, lock);
    if (strcmp(lock, "mounted") == 0)
        nvl_error_hint(err, "`pct mount` mounted it, or failed to: pct unmount %s", c->name);
    else
        nvl_error_hint(err,
                       "wait until that task has ended\nonly if none is left, as after a crash, for it can "
                       "destroy data: pct unlock %s",
                       c->name);
    return -EBUSY;
}

/* What forbids any write. */
static int check_pve_may_write(const struct nvl_root *root, const struct nvl_container *c,
                               const struct nvl_config *base, struct nvl_error *err)
{
    if (c->node != NULL) {
        nvl_error_set(err, -EPERM, "CT %s is on the node %s: only that node can change its config", c->name,
                      c->node);
        nvl_error_hint(err, "run the command there: ssh %s", c->node);
        return -EPERM;
    }
    const char *lock = nvl_config_get(base, "lock");
    if (lock != NULL)
        return refuse_lock(c, lock, err);
    if (!nvl_cluster_has_quorum(root, NULL)) {
        nvl_error_set(err, -EROFS,
                      "the Proxmox cluster has no quorum: /etc/pve is read-only, nothing was written");
        nvl_error_hint(err, "see `pvecm status`; bring the other nodes back, then run the command again");
        return -EROFS;
    }
    return 0;
}

/* Where the config's path is resolved: a user's own folders may contain links, which must not lead out of the
 * home. */
static int open_config_place(const struct nvl_root *root, const struct nvl_container *c,
                             struct nvl_root *place, const char **inside)
{
    if (c->owner != NULL)
        return nvl_user_open_place(root, c->owner, c->config_path, place, inside);
    *inside = c->config_path;
    int fd = nvl_root_openat(root, "/", O_PATH | O_DIRECTORY);
    if (fd >= 0)
        nvl_root_from_fd(place, fd, root->name);
    return fd < 0 ? fd : 0;
}

/* Opens the folder as a descriptor that can be locked. The owner of an LXC container could replace it by a
 * link. */
static int open_config_folder(const struct nvl_root *root, const struct nvl_container *c, const char **name,
                              struct nvl_error *err)
{
    nvl_auto(nvl_root_close) struct nvl_root place = NVL_ROOT_NONE;
    const char *inside;

    *name = strrchr(c->config_path, '/') + 1;
    int fd = open_config_place(root, c, &place, &inside);
    if (fd == 0) {
        nvl_autofree char *folder = nvl_xstrndup(inside, strlen(inside) - strlen(*name) - 1);
        /* pmxcfs makes /etc/pve/lxc a link */
        int nofollow = c->kind == NVL_CONTAINER_LXC ? O_NOFOLLOW : 0;
        fd = nvl_root_openat(&place, folder, O_RDONLY | O_DIRECTORY | nofollow);
    }
    /* a link that is not followed is not a directory */
    if (fd == -ELOOP || (fd == -ENOTDIR && c->kind == NVL_CONTAINER_LXC)) {
        nvl_error_set(err, -ELOOP, "the folder of %s is a symbolic link; nothing was written",
                      c->config_path);
        nvl_error_hint(err, "move the container's folder itself to %s", c->lxcpath);
        return -ELOOP;
    }
    if (fd < 0)
        return lacks_permission(err,
                                nvl_error_errno(err, fd, "cannot open the folder of %s", c->config_path));
    return fd;
}

/* The config must still be the bytes that the plan was made from. */
static int compare_with_base(int folder, const char *name, const struct nvl_container *c,
                             const struct nvl_config *base, struct stat *st, struct nvl_error *err)
{
    nvl_autofree char *text = NULL;
    size_t len;
    const struct nvl_root place = nvl_root_borrow(folder);
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    nvl_autofd int fd = c->kind == NVL_CONTAINER_PVE ? nvl_root_open_listed(&place, name, flags)
                                                     : nvl_root_openat(&place, name, flags);

    if (fd == -ELOOP) {
        nvl_error_set(err, -ELOOP, "%s is a symbolic link; nothing was written", c->config_path);
        nvl_error_hint(
            err, "put the file itself there: writing would replace the link and leave its target unchanged");
        return -ELOOP;
    }
    int r = fd < 0 ? fd : nvl_fd_read(fd, NVL_CONFIG_MAX, &text, &len);
    if (r == 0 && fstat(fd, st) < 0)
        r = -errno;
    if (r < 0)
        return lacks_permission(err, nvl_error_errno(err, r, "cannot read %s again", c->config_path));
    if (len != base->len || memcmp(text, base->text, len) != 0) {
        nvl_error_set(err, -EAGAIN, "%s changed since it was read; nothing was written", c->config_path);
        nvl_error_hint(err, "see what writes it all the time, then run the command again");
        return -EAGAIN;
    }
    return 0;
}

static int write_plan(int folder, const char *name, const struct nvl_container *c,
                      const struct nvl_config *base, const struct nvl_plan *plan, struct nvl_error *err)
{
    struct stat st;
    int r = compare_with_base(folder, name, c, base, &st, err);

    if (r < 0)
        return r;
    nvl_visit_writes();
    r = nvl_file_replace(folder, name, plan->text, plan->len, &st, err);
    if (r == 0)
        return 0;
    nvl_error_prefix(err, "%s", c->config_path);
    if (r == -ENOSPC || r == -EDQUOT)
        nvl_error_hint(err, "free space on that file system, then run the command again");
    return lacks_permission(err, r);
}

/* ---- Incus and LXD ---- */

static int is_unchanged(const struct nvl_config *base, const struct nvl_instance *now, struct nvl_error *err)
{
    if (nvl_bytes_are(base->text, base->len, now->raw) && nvl_instance_is_same(now, base->instance))
        return 0;
    nvl_error_set(err, -EAGAIN, "%s changed since it was read; nothing was written", now->text);
    nvl_error_hint(err, "see what writes it all the time, then run the command again");
    return -EAGAIN;
}

/* Whether a change from before puts the old text back, within a moment after nvlxc's. The daemon took that:
 * whoever cannot be asked any more is believed. */
static bool is_put_back(const struct nvl_root *root, const struct nvl_config *base)
{
    bool is_back = false;

    for (unsigned look = 0; !is_back && look < LOOKS; look++) {
        struct nvl_instance *now = NULL;
        nvl_autofree char *etag = NULL;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MILLIS * 1000000}, NULL);
        if (nvl_instance_read(root, base->instance, &now, &etag, NULL) == 0)
            is_back = is_unchanged(base, now, NULL) == 0;
        nvl_instance_free(now);
    }
    return is_back;
}

/* 0 if the daemon took it, 1 if another key changed at that moment. */
static int try_to_write(const struct nvl_root *root, const struct nvl_config *base,
                        const struct nvl_plan *plan, struct nvl_error *err)
{
    struct nvl_instance *now = NULL;
    nvl_autofree char *etag = NULL;

    int r = nvl_instance_read(root, base->instance, &now, &etag, err);
    if (r < 0)
        return r;
    r = is_unchanged(base, now, err);
    if (r == 0) {
        nvl_visit_writes();
        r = nvl_instance_write(root, now, etag, plan->text, err);
        if (r == -EBUSY)
            nanosleep(&(struct timespec){.tv_nsec = BUSY_MILLIS * 1000000}, NULL);
        r = r == -EAGAIN || r == -EBUSY ? 1 : r;
        if (r == 0 && now->daemon->forgets && is_put_back(root, base))
            r = 1;
    }
    nvl_instance_free(now);
    return r;
}

static int commit_instance(const struct nvl_root *root, const struct nvl_container *c,
                           const struct nvl_config *base, const struct nvl_plan *plan, struct nvl_error *err)
{
    int r = 1;

    for (unsigned round = 0; r == 1 && round < INSTANCE_ROUNDS; round++)
        r = try_to_write(root, base, plan, err);
    if (r == 1) {
        nvl_autofree char *last = nvl_xstrdup(err != NULL ? err->message : "");
        nvl_error_set(err, -EBUSY, "nothing was written to %s, which others change all the time: %s",
                      c->config_path, last);
        nvl_error_hint(err, "see what changes it all the time, then run the command again");
        return -EBUSY;
    }
    return r < 0 ? nvl_error_prefix(err, "%s", c->config_path) : 0;
}

/* ---- a plan ---- */

int nvl_commit(const struct nvl_root *root, const struct nvl_container *c, const struct nvl_config *base,
               const struct nvl_plan *plan, struct nvl_error *err)
{
    const char *name;

    if (!plan->changes)
        return 0;
    if (plan->len > NVL_CONFIG_MAX)
        return nvl_error_set(err, -EFBIG, "%s would be larger than 1 MiB; nothing was written",
                             c->config_path);
    int r = c->kind == NVL_CONTAINER_PVE ? check_pve_may_write(root, c, base, err) : 0;
    if (r == 0)
        r = nvl_root_trouble(root, err); /* the plan may lack something */
    if (r < 0)
        return r;
    if (c->kind == NVL_CONTAINER_DAEMON)
        return commit_instance(root, c, base, plan, err);
    nvl_autofd int folder = open_config_folder(root, c, &name, err);
    if (folder < 0)
        return folder;

    nvl_autofd int lock = c->kind == NVL_CONTAINER_PVE ? lock_pve(root, c, err) : -1;
    r = c->kind == NVL_CONTAINER_PVE ? (lock < 0 ? lock : 0) : lock_folder(folder, c, err);
    return r < 0 ? r : write_plan(folder, name, c, base, plan, err);
}
