/* Writing a tree of small files below an empty directory. */
#include "host/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

/* The path as the *at() calls take it. */
static const char *relative(const char *path)
{
    while (*path == '/')
        path++;
    return path;
}

int nvl_tree_directory(int dirfd, const char *path, struct nvl_error *err)
{
    nvl_autofree char *prefix = nvl_xstrdup(relative(path));

    for (char *slash = prefix; slash != NULL;) {
        slash = strchr(slash, '/');
        if (slash != NULL)
            *slash = '\0';
        if (*prefix != '\0' && mkdirat(dirfd, prefix, 0755) < 0 && errno != EEXIST)
            return nvl_error_errno(err, -errno, "cannot make the directory %s", prefix);
        if (slash != NULL)
            *slash++ = '/';
    }
    return 0;
}

static int make_parent(int dirfd, const char *path, struct nvl_error *err)
{
    const char *slash = strrchr(path, '/');
    nvl_autofree char *parent = nvl_xstrndup(path, slash != NULL ? (size_t)(slash - path) : 0);

    return nvl_tree_directory(dirfd, parent, err);
}

int nvl_tree_file(int dirfd, const char *path, const void *data, size_t len, struct nvl_error *err)
{
    int r = make_parent(dirfd, path, err);

    if (r < 0)
        return r;
    nvl_autofd int fd = openat(dirfd, relative(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno == EEXIST ? 0 : nvl_error_errno(err, -errno, "cannot write %s", relative(path));
    r = nvl_fd_write(fd, data, len);
    return r < 0 ? nvl_error_errno(err, r, "cannot write %s", relative(path)) : 0;
}

int nvl_tree_link(int dirfd, const char *path, const char *target, struct nvl_error *err)
{
    int r = make_parent(dirfd, path, err);

    if (r == 0 && symlinkat(target, dirfd, relative(path)) < 0 && errno != EEXIST)
        r = nvl_error_errno(err, -errno, "cannot make the link %s", relative(path));
    return r;
}
