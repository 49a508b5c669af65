/* Whole files: reads one completely, replaces one atomically. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
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

static int write_temporary(int dirfd, const char *name, const void *data, size_t len, const struct stat *like,
                           bool is_fuse)
{
    nvl_autofd int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

    if (fd < 0)
        return -errno;
    int r = nvl_fd_write(fd, data, len);
    if (r == 0 && like != NULL && !is_fuse)
        r = set_attributes(fd, like);
    if (r == 0 && !is_fuse && fsync(fd) < 0)
        r = -errno;
    /* close reports what a network or FUSE file system could not write */
    if (close(TAKE_FD(fd)) < 0 && r == 0)
        r = -errno;
    if (r < 0)
        unlinkat(dirfd, name, 0);
    return r;
}

#define TEMPORARY ".tmp." /* NAME.tmp.PID, as Proxmox names its own */

int nvl_file_replace(int dirfd, const char *name, const void *data, size_t len, const struct stat *like,
                     struct nvl_error *err)
{
    struct statfs fs;
    /* dirfd may be O_PATH, which fsync refuses */
    nvl_autofd int dir = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0 || fstatfs(dir, &fs) < 0)
        return nvl_error_errno(err, -errno, "cannot write %s: its directory", name);
    bool is_fuse = fs.f_type == FUSE_SUPER_MAGIC;

    nvl_autofree char *temporary = nvl_xasprintf("%s" TEMPORARY "%d", name, (int)getpid());
    int r = write_temporary(dir, temporary, data, len, like, is_fuse);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot write %s (nothing was changed)", temporary);
    if (renameat(dir, temporary, dir, name) < 0) {
        r = -errno;
        unlinkat(dir, temporary, 0);
        return nvl_error_errno(err, r, "cannot replace %s (nothing was changed)", name);
    }
    if (!is_fuse && fsync(dir) < 0)
        return nvl_error_errno(err, -errno, "%s is written, but its directory could not be synced", name);
    return 0;
}

struct sweep {
    int folder;
    const char *name;
};

static void sweep_one(void *data, const char *file)
{
    const struct sweep *s = data;
    size_t len = strlen(s->name);
    uint64_t pid;

    if (!nvl_has_prefix(file, s->name) || !nvl_has_prefix(file + len, TEMPORARY) ||
        nvl_parse_uint(file + len + strlen(TEMPORARY), 10, INT_MAX, &pid) < 0 || pid == 0)
        return;
    if (kill((pid_t)pid, 0) < 0 && errno == ESRCH)
        unlinkat(s->folder, file, 0);
}

void nvl_file_sweep(int dirfd, const char *name)
{
    const struct nvl_root folder = nvl_root_borrow(dirfd);
    struct sweep s = {dirfd, name};

    nvl_root_each(&folder, "/", sweep_one, &s);
}
