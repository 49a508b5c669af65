/* Trees of folders, walked by descriptor so that no link leads out of them. */
#include "bundle/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

int nvl_folder_make(int at, const char *name)
{
    if (mkdirat(at, name, 0755) < 0)
        return errno == EEXIST ? 0 : -errno;
    nvl_autofd int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 || fchmod(fd, 0755) < 0 ? -errno : 0;
}

int nvl_folder_make_parents(int at, const char *path)
{
    nvl_autofree char *parent = nvl_xstrdup(path);

    for (char *slash = strchr(parent, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int r = nvl_folder_make(at, parent);
        if (r < 0)
            return r;
        *slash = '/';
    }
    return 0;
}

static void end_dir(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

static DIR *open_dir(int at, const char *name)
{
    nvl_autofd int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (dir != NULL)
        (void)TAKE_FD(fd);
    return dir;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int nvl_folder_sync(int at, const char *name)
{
    nvl_auto(end_dir) DIR *dir = open_dir(at, name);
    const struct dirent *entry;

    if (dir == NULL)
        return -errno;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        struct stat st;
        if (is_dots(entry->d_name) || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISDIR(st.st_mode))
            continue;
        int r = nvl_folder_sync(dirfd(dir), entry->d_name);
        if (r < 0)
            return r;
    }
    if (errno != 0)
        return -errno;
    return fsync(dirfd(dir)) < 0 ? -errno : 0;
}

int nvl_folder_remove(int at, const char *name)
{
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    nvl_auto(end_dir) DIR *dir = open_dir(at, name);
    const struct dirent *entry;
    int r = dir == NULL ? -errno : 0;
    while (r == 0 && (errno = 0, (entry = readdir(dir)) != NULL))
        if (!is_dots(entry->d_name))
            r = nvl_folder_remove(dirfd(dir), entry->d_name);
    if (r == 0 && errno != 0)
        r = -errno;
    if (r == 0 && unlinkat(at, name, AT_REMOVEDIR) < 0)
        r = -errno;
    return r;
}
