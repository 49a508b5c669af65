/* Writes a tree of small files below an empty directory. */
#include "host/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/root.h"

/* The path in the form that the *at() calls take. */
static const char *without_slash(const char *path)
{
    while (*path == '/')
        path++;
    return path;
}

int nvl_tree_directory(int dirfd, const char *path, struct nvl_error *err)
{
    const struct nvl_root tree = nvl_root_borrow(dirfd);
    int r = nvl_root_make_folder(&tree, path);

    return r < 0 ? nvl_error_errno(err, r, "cannot make the directory %s", without_slash(path)) : 0;
}

static int make_tree_parents(int dirfd, const char *path, struct nvl_error *err)
{
    const char *slash = strrchr(path, '/');
    nvl_autofree char *parent = nvl_xstrndup(path, slash != NULL ? (size_t)(slash - path) : 0);

    return nvl_tree_directory(dirfd, parent, err);
}

int nvl_tree_file(int dirfd, const char *path, const void *data, size_t len, struct nvl_error *err)
{
    int r = make_tree_parents(dirfd, path, err);

    if (r < 0)
        return r;
    nvl_autofd int fd = openat(dirfd, without_slash(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno == EEXIST ? 0 : nvl_error_errno(err, -errno, "cannot write %s", without_slash(path));
    r = nvl_fd_write(fd, data, len);
    return r < 0 ? nvl_error_errno(err, r, "cannot write %s", without_slash(path)) : 0;
}

int nvl_tree_link(int dirfd, const char *path, const char *target, struct nvl_error *err)
{
    int r = make_tree_parents(dirfd, path, err);

    if (r == 0 && symlinkat(target, dirfd, without_slash(path)) < 0 && errno != EEXIST)
        r = nvl_error_errno(err, -errno, "cannot make the link %s", without_slash(path));
    return r;
}
