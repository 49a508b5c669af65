/* Whole files: reads one completely, replaces one atomically. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/root.h"
#include "base/text.h"

int nvl_fd_read(int fd, size_t max, char **data, size_t *len)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (st.st_size > 0 && (uintmax_t)st.st_size > max)
        return -EFBIG;

    /* Room for one byte more than the file's size: a read that returns exactly the size has reached the end.
     */
    size_t said = st.st_size > 0 ? (size_t)st.st_size : 0, cap = said > 0 ? said + 1 : 4096, n = 0;
    nvl_autofree char *text = nvl_xrealloc(NULL, cap + 1, 1);
    for (;;) {
        ssize_t got = read(fd, text + n, cap - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        n += (size_t)got;
        if (n > max)
            return -EFBIG;
        if (said > 0 && n == said)
            break;
        if (n == cap) {
            cap *= 2;
            text = nvl_xrealloc(text, cap + 1, 1);
        }
    }
    text[n] = '\0';
    *data = TAKE_PTR(text);
    *len = n;
    return 0;
}

int nvl_fd_write(int fd, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int set_attributes(int fd, const struct stat *like)
{
    struct stat now;

    if (fstat(fd, &now) < 0)
        return -errno;
    if ((now.st_uid != like->st_uid || now.st_gid != like->st_gid) &&
        fchown(fd, like->st_uid, like->st_gid) < 0)
        return -errno;
    return fchmod(fd, like->st_mode & 07777) < 0 ? -errno : 0;
}

#define TEMPORARY ".nvlxc." /* NAME.nvlxc.PID: Proxmox's own are NAME.tmp.PID */

struct sweep {
    int folder;
    const char *name;
};

static void sweep_one(void *data, const char *file)
{
    const struct sweep *s = data;
    size_t len = strlen(s->name);
    uint64_t pid;
    struct stat st;

    if (!nvl_has_prefix(file, s->name) || !nvl_has_prefix(file + len, TEMPORARY) ||
        nvl_parse_uint(file + len + strlen(TEMPORARY), 10, INT_MAX, &pid) < 0 ||
        fstatat(s->folder, file, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return;
    nvl_autofd int fd = openat(s->folder, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlinkat(s->folder, file, 0);
}

/* Removes what killed writers of `name` left. */
static void sweep_temporary(int folder, const char *name)
{
    const struct nvl_root root = nvl_root_borrow(folder);
    struct sweep s = {folder, name};

    nvl_root_each(&root, "/", sweep_one, &s);
}

/* Reports what a network or FUSE file system could not write, as close does, and keeps the lock. */
static int flush(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return copy < 0 || close(copy) < 0 ? -errno : 0;
}

/* Returns the descriptor, with the lock that says that the file has a writer. */
static int write_temporary(int dirfd, const char *name, const void *data, size_t len, const struct stat *like,
                           bool is_fuse)
{
    nvl_autofd int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

    if (fd < 0)
        return -errno;
    (void)!flock(fd, LOCK_EX | LOCK_NB); /* where there are no locks, nobody sweeps it either */
    int r = nvl_fd_write(fd, data, len);
    if (r == 0 && like != NULL && !is_fuse)
        r = set_attributes(fd, like);
    if (r == 0 && !is_fuse && fsync(fd) < 0)
        r = -errno;
    if (r == 0)
        r = flush(fd);
    if (r < 0)
        unlinkat(dirfd, name, 0);
    return r < 0 ? r : TAKE_FD(fd);
}

int nvl_file_replace(int dirfd, const char *name, const void *data, size_t len, const struct stat *like,
                     struct nvl_error *err)
{
    struct statfs fs;
    /* dirfd may be O_PATH, which fsync refuses */
    nvl_autofd int dir = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0 || fstatfs(dir, &fs) < 0)
        return nvl_error_errno(err, -errno, "cannot write %s: its directory", name);
    bool is_fuse = fs.f_type == FUSE_SUPER_MAGIC;

    sweep_temporary(dir, name);
    nvl_autofree char *temporary = nvl_xasprintf("%s" TEMPORARY "%d", name, (int)getpid());
    nvl_autofd int fd = write_temporary(dir, temporary, data, len, like, is_fuse);
    if (fd < 0)
        return nvl_error_errno(err, fd, "cannot write %s (nothing was changed)", temporary);
    if (renameat(dir, temporary, dir, name) < 0) {
        int r = -errno;
        unlinkat(dir, temporary, 0);
        return nvl_error_errno(err, r, "cannot replace %s (nothing was changed)", name);
    }
    if (!is_fuse && fsync(dir) < 0)
        return nvl_error_errno(err, -errno, "%s is written, but its directory could not be synced", name);
    return 0;
}
