/* The root handle: every path of a host or of a container's root file system passes through here. */
#include "base/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sys.h"
#include "base/visit.h"

/* A rename on pmxcfs is not atomic for readers: up to 36 ms were seen. */
#define LISTED_WAIT_MS  200
#define LISTED_PAUSE_MS 10

/* A rename that races with `..` gives EAGAIN: openat2(2) says to try again. So does a lease (fcntl(2),
 * F_SETLEASE) of whoever owns the file, and then for as long as 45 s. */
#define OPEN_TRIES 64

struct nvl_trouble {
    bool may_all;
    int code; /* 0: none */
    char *path;
};

bool nvl_is_trouble(int code)
{
    /* what says that there is no such file, device or process, or that it is not of the kind asked for */
    static const int answers[] = {ENOENT, ENOTDIR,   ELOOP,  EXDEV,  EISDIR, EINVAL,    ENAMETOOLONG,
                                  EFBIG,  ENXIO,     ENODEV, ESRCH,  EAGAIN, EINTR,     EROFS,
                                  EBUSY,  EOVERFLOW, EEXIST, EACCES, EPERM,  EOPNOTSUPP};

    for (size_t i = 0; i < NVL_LENGTH(answers); i++)
        if (code == -answers[i])
            return false;
    return code < 0;
}

/* Whose a process is decides what can be read of it, also by root. */
static bool is_of_process(const char *path)
{
    return nvl_has_prefix(path, "/proc/") && path[6] >= '0' && path[6] <= '9';
}

void nvl_root_watch(struct nvl_root *root, bool may_all)
{
    root->trouble = nvl_xcalloc(1, sizeof *root->trouble);
    root->trouble->may_all = may_all;
}

int nvl_root_note(const struct nvl_root *root, const char *path, int code)
{
    struct nvl_trouble *t = root->trouble;
    bool is_denied = code == -EACCES || code == -EPERM;

    if (t == NULL || t->code != 0 ||
        !(nvl_is_trouble(code) || (is_denied && t->may_all && !is_of_process(path))))
        return code;
    t->code = code;
    t->path = nvl_xstrdup(path);
    return code;
}

int nvl_root_trouble(const struct nvl_root *root, struct nvl_error *err)
{
    const struct nvl_trouble *t = root->trouble;

    if (t == NULL || t->code == 0)
        return 0;
    nvl_error_errno(err, t->code, "cannot read %s%s", root->name, t->path);
    nvl_error_hint(err, "what it says is not known, so nothing is concluded; the kernel's log may say more");
    return t->code;
}

int nvl_root_open(struct nvl_root *root, const char *dir, struct nvl_error *err)
{
    int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        *root = NVL_ROOT_NONE;
        return nvl_error_errno(err, -errno, "cannot open the root directory %s", dir);
    }
    size_t len = strlen(dir);
    while (len > 0 && dir[len - 1] == '/')
        len--;
    *root =
        (struct nvl_root){.fd = fd, .name = nvl_xstrndup(dir, len), .is_machine = dir[0] != '\0' && len == 0};
    return 0;
}

void nvl_root_from_fd(struct nvl_root *root, int fd, const char *name)
{
    *root = (struct nvl_root){.fd = fd, .name = nvl_xstrdup(name)};
}

void nvl_root_close(struct nvl_root *root)
{
    if (root->fd >= 0)
        close(root->fd);
    if (root->is_visited)
        nvl_visit_end();
    free(root->name);
    if (root->trouble != NULL)
        free(root->trouble->path);
    free(root->trouble);
    *root = NVL_ROOT_NONE;
}

struct nvl_root nvl_root_borrow(int fd)
{
    return (struct nvl_root){.fd = fd, .name = (char *)""};
}

struct nvl_root nvl_root_own(const struct nvl_root *root)
{
    return (struct nvl_root){.fd = root->fd, .name = root->name, .one_mount = true, .trouble = root->trouble};
}

bool nvl_root_is_machine(const struct nvl_root *root)
{
    return root->is_machine;
}

/* openat2 takes paths below_root to the root descriptor. */
static const char *below_root(const char *path)
{
    while (*path == '/')
        path++;
    return *path != '\0' ? path : ".";
}

int nvl_root_openat(const struct nvl_root *root, const char *path, int flags)
{
    uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (root->one_mount ? RESOLVE_NO_XDEV : 0);
    int r, tries = 0;

    do {
        r = nvl_sys_openat2(root->fd, below_root(path), (unsigned)flags | O_CLOEXEC,
                            (flags & O_CREAT) != 0 ? 0644 : 0, resolve);
    } while (r == -EINTR || (r == -EAGAIN && ++tries < OPEN_TRIES));
    return (flags & (O_CREAT | O_WRONLY | O_RDWR)) == 0 ? nvl_root_note(root, path, r) : r;
}

int nvl_root_open_listed(const struct nvl_root *root, const char *path, int flags)
{
    const struct timespec pause = {.tv_nsec = LISTED_PAUSE_MS * 1000 * 1000};
    int r = nvl_root_openat(root, path, flags);

    for (int ms = 0; r == -ENOENT && ms < LISTED_WAIT_MS; ms += LISTED_PAUSE_MS) {
        nanosleep(&pause, NULL);
        r = nvl_root_openat(root, path, flags);
    }
    return r;
}

int nvl_root_open_parent(const struct nvl_root *root, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    nvl_autofree char *parent = nvl_xstrndup(path, slash != NULL ? (size_t)(slash - path) : 0);

    *name = slash != NULL ? slash + 1 : path;
    return nvl_root_openat(root, parent, O_PATH | O_DIRECTORY);
}

int nvl_root_unlink(const struct nvl_root *root, const char *path)
{
    const char *name;
    nvl_autofd int folder = nvl_root_open_parent(root, path, &name);

    if (folder < 0)
        return folder == -ENOENT ? 0 : folder;
    return unlinkat(folder, name, 0) == 0 || errno == ENOENT ? 0 : -errno;
}

int nvl_root_make_folder(const struct nvl_root *root, const char *path)
{
    const char *name;

    if (nvl_root_exists(root, path))
        return 0;
    nvl_autofd int parent = nvl_root_open_parent(root, path, &name);
    if (parent == -ENOENT) {
        nvl_autofree char *above = nvl_xstrndup(path, (size_t)(name - path) - 1);
        int r = nvl_root_make_folder(root, above);
        if (r < 0)
            return r;
        parent = nvl_root_open_parent(root, path, &name);
    }
    if (parent < 0)
        return parent;
    if (mkdirat(parent, name, 0755) < 0)
        return errno == EEXIST ? 0 : -errno; /* somebody else made it, or it is a link that leads nowhere */
    nvl_autofd int made = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return made < 0 || fchmod(made, 0755) < 0 ? -errno : 0;
}

int nvl_root_make_parents(const struct nvl_root *root, const char *path)
{
    const char *slash = strrchr(path, '/');
    nvl_autofree char *above = nvl_xstrndup(path, slash != NULL ? (size_t)(slash - path) : 0);

    return above[0] != '\0' ? nvl_root_make_folder(root, above) : 0;
}

int nvl_root_read(const struct nvl_root *root, const char *path, size_t max, char **data, size_t *len)
{
    nvl_autofd int fd = nvl_root_openat(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return fd;
    return nvl_root_note(root, path, nvl_fd_read(fd, max, data, len));
}

int nvl_root_read_attribute(const struct nvl_root *root, const char *path, char *line, size_t size)
{
    nvl_autofd int fd = nvl_root_openat(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return fd;
    ssize_t n = read(fd, line, size - 1);
    if (n < 0)
        return nvl_root_note(root, path, -errno);
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return 0;
}

static int read_link_text(const struct nvl_root *root, const char *path, char *text, size_t size)
{
    ssize_t n;

    if (nvl_root_is_machine(root)) {
        n = readlinkat(root->fd, below_root(path), text, size);
    } else {
        nvl_autofd int fd = nvl_root_openat(root, path, O_PATH | O_NOFOLLOW);
        if (fd < 0)
            return fd;
        n = readlinkat(fd, "", text, size);
    }
    return n < 0 ? nvl_root_note(root, path, -errno) : (int)n;
}

int nvl_root_readlink(const struct nvl_root *root, const char *path, char **target)
{
    char text[PATH_MAX];
    int n = read_link_text(root, path, text, sizeof text);

    if (n < 0)
        return n;
    if ((size_t)n == sizeof text)
        return -ENAMETOOLONG;
    *target = nvl_xstrndup(text, (size_t)n);
    return 0;
}

int nvl_root_stat(const struct nvl_root *root, const char *path, int flags, struct stat *st)
{
    /* nothing leads out of the machine: one call instead of three */
    if (nvl_root_is_machine(root))
        return fstatat(root->fd, below_root(path), st, flags) < 0 ? nvl_root_note(root, path, -errno) : 0;
    nvl_autofd int fd =
        nvl_root_openat(root, path, O_PATH | ((flags & AT_SYMLINK_NOFOLLOW) != 0 ? O_NOFOLLOW : 0));

    if (fd < 0)
        return fd;
    return fstatat(fd, "", st, AT_EMPTY_PATH) < 0 ? nvl_root_note(root, path, -errno) : 0;
}

bool nvl_root_exists(const struct nvl_root *root, const char *path)
{
    struct stat st;

    return nvl_root_stat(root, path, 0, &st) == 0;
}

int nvl_root_each(const struct nvl_root *root, const char *path, void (*take)(void *data, const char *name),
                  void *data)
{
    nvl_autofd int fd = nvl_root_openat(root, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);

    if (fd < 0)
        return fd;
    /* getdents64 itself: opendir's stream would take three more system calls for each folder */
    _Alignas(struct dirent64) char entries[32768];
    ssize_t n;
    while ((n = getdents64(fd, entries, sizeof entries)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(entries + at);
            at += entry->d_reclen;
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                take(data, entry->d_name);
        }
    return n < 0 ? nvl_root_note(root, path, -errno) : 0;
}

static void push_name(void *names, const char *name)
{
    nvl_strv_push(names, name);
}

int nvl_root_list(const struct nvl_root *root, const char *path, struct nvl_strv *names)
{
    int r = nvl_root_each(root, path, push_name, names);

    nvl_strv_sort(names);
    return r;
}

/* The kernel's path of an open file, without a trailing slash, so "" for "/". */
static int path_of_fd(int fd, char *path, size_t size)
{
    char link[64];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, size - 1);
    if (n < 0)
        return -errno;
    path[n == 1 ? 0 : n] = '\0';
    return 0;
}

int nvl_root_resolve_stat(const struct nvl_root *root, const char *path, char **real, struct stat *st)
{
    char text[PATH_MAX], top[PATH_MAX] = "";
    nvl_autofd int fd = nvl_root_openat(root, path, O_PATH);

    if (fd < 0)
        return fd;
    int r = path_of_fd(fd, text, sizeof text);
    if (r == 0 && !nvl_root_is_machine(root))
        r = path_of_fd(root->fd, top, sizeof top);
    if (r == 0 && st != NULL && fstat(fd, st) < 0)
        r = -errno;
    if (r < 0)
        return nvl_root_note(root, path, r);
    if (!nvl_has_prefix(text, top))
        return -EXDEV;
    const char *inside = text + strlen(top);
    *real = nvl_xstrdup(*inside != '\0' ? inside : "/");
    return 0;
}

int nvl_root_resolve(const struct nvl_root *root, const char *path, char **real)
{
    return nvl_root_resolve_stat(root, path, real, NULL);
}

bool nvl_is_met_again(struct nvl_strv *met, const struct stat *st)
{
    nvl_autofree char *mark =
        nvl_xasprintf("%llu %llu", (unsigned long long)st->st_dev, (unsigned long long)st->st_ino);

    if (nvl_strv_contains(met, mark))
        return true;
    nvl_strv_push(met, mark);
    return false;
}

char *nvl_root_show(const struct nvl_root *root, const char *path)
{
    return nvl_xasprintf("%s%s", root->name, path);
}

int nvl_root_open_lock(const struct nvl_root *root, const char *path)
{
    int r = nvl_root_make_parents(root, path);
    mode_t before = umask(0077);
    int fd = r < 0 ? r : nvl_root_openat(root, path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    umask(before);
    return fd;
}
