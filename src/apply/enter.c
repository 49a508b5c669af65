/* Enters a running container's mounts. */
#include "apply/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/root.h"
#include "container/container.h"
#include "container/state.h"

/* "         0     200000      65536" lines: the host's id for an id of the container. */
static bool find_mapped_id(const char *map, unsigned inside, unsigned *id)
{
    const char *line;
    size_t len, pos = 0;
    uint64_t first, outside, count;

    while (nvl_next_line(map, strlen(map), &pos, &line, &len)) {
        nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
        nvl_autofree char *copy = nvl_xstrndup(line, len);
        nvl_strv_split(&words, copy, " ");
        if (words.count == 3 && nvl_parse_uint(words.items[0], 10, UINT32_MAX, &first) == 0 &&
            nvl_parse_uint(words.items[1], 10, UINT32_MAX, &outside) == 0 &&
            nvl_parse_uint(words.items[2], 10, UINT32_MAX, &count) == 0 && inside >= first &&
            inside - first < count && outside + (inside - first) < UINT32_MAX) {
            *id = (unsigned)(outside + (inside - first));
            return true;
        }
    }
    return false;
}

bool nvl_entry_point_gid(const void *entry, unsigned inside, unsigned *gid)
{
    const struct nvl_entry_point *e = entry;

    return find_mapped_id(e->gid_map, inside, gid);
}

static int read_id_map(const struct nvl_root *host, pid_t pid, const char *file, char **map,
                       unsigned *id_of_root)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%d/%s", (int)pid, file);
    size_t len;

    int r = nvl_root_read(host, path, 64u << 10, map, &len);
    return r == 0 && !find_mapped_id(*map, 0, id_of_root) ? -ENOENT : r;
}

/* A link of the kernel's, which the root handle does not follow. */
static int open_namespace(pid_t pid, const char *kind)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%d/ns/%s", (int)pid, kind);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int same_namespace(int a, int b)
{
    struct stat one, other;

    if (fstat(a, &one) < 0 || fstat(b, &other) < 0)
        return -errno;
    return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* Checks that the container's root is not the host's. nvl_container_init has checked the user namespace. */
static int check_user_namespace(const struct nvl_entry_point *e, const struct nvl_container *c,
                                struct nvl_error *err)
{
    if (c->user == NULL || (e->uid0 != 0 && e->gid0 != 0))
        return 0;
    return nvl_error_set(err, -EPERM, "process %d is not the init of that container: its root is the host's",
                         (int)e->init);
}

static int check_mount_namespace(struct nvl_entry_point *e, struct nvl_error *err)
{
    nvl_autofd int theirs = open_namespace(e->init, "mnt");

    e->own_mounts = open_namespace(getpid(), "mnt");
    int r = theirs < 0 ? theirs : e->own_mounts;
    if (r >= 0)
        r = same_namespace(theirs, e->own_mounts);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot enter the container: its mounts");
    if (r == 1)
        return nvl_error_set(err, -EPERM,
                             "process %d is not the init of that container: it shares its mounts with "
                             "the host",
                             (int)e->init);
    return 0;
}

static bool is_init_alive(const struct nvl_entry_point *e)
{
    struct pollfd p = {.fd = e->pidfd, .events = POLLIN};

    return poll(&p, 1, 0) == 0;
}

static int find_init(struct nvl_entry_point *e, const struct nvl_root *host, const struct nvl_container *c,
                     struct nvl_error *err)
{
    nvl_autofree char *uid_map = NULL;

    e->init = nvl_container_init(host, c, err);
    if (e->init < 0)
        return e->init;
    e->pidfd = (int)syscall(SYS_pidfd_open, e->init, 0);
    int r = e->pidfd < 0 ? -errno : read_id_map(host, e->init, "uid_map", &uid_map, &e->uid0);
    if (r == 0)
        r = read_id_map(host, e->init, "gid_map", &e->gid_map, &e->gid0);
    return r < 0 ? nvl_error_errno(err, r, "cannot enter the container: its init, process %d", (int)e->init)
                 : 0;
}

int nvl_entry_point_open(struct nvl_entry_point *e, const struct nvl_root *host,
                         const struct nvl_container *c, struct nvl_error *err)
{
    *e = NVL_ENTRY_POINT_NONE;
    int r = find_init(e, host, c, err);
    if (r == 0)
        r = check_user_namespace(e, c, err);
    if (r == 0)
        r = check_mount_namespace(e, err);
    if (r == 0 && (nvl_container_init(host, c, NULL) != e->init || !is_init_alive(e)))
        r = nvl_error_set(err, -ESRCH, "the container stopped or restarted meanwhile");
    return r;
}

void nvl_entry_point_close(struct nvl_entry_point *e)
{
    nvl_close_ptr(&e->pidfd);
    nvl_close_ptr(&e->own_mounts);
    free(e->gid_map);
    *e = NVL_ENTRY_POINT_NONE;
}

int nvl_entry_point_enter(const struct nvl_entry_point *e, struct nvl_root *rootfs)
{
    if (setns(e->pidfd, CLONE_NEWNS) < 0)
        return -errno;
    int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    nvl_root_from_fd(rootfs, fd, "the container's /");
    return 0;
}

int nvl_entry_point_leave(const struct nvl_entry_point *e)
{
    return setns(e->own_mounts, CLONE_NEWNS) < 0 ? -errno : 0;
}

int nvl_entry_point_become_root(const struct nvl_entry_point *e)
{
    if (setgroups(0, NULL) < 0)
        return -errno;
    setfsgid(e->gid0);
    setfsuid(e->uid0);
    /* they hold the errnos from before, and nothing of success */
    return (uid_t)setfsuid((uid_t)-1) == e->uid0 && (gid_t)setfsgid((gid_t)-1) == e->gid0 ? 0 : -EPERM;
}
