/* Trees of folders, walked by descriptor so that no link leads out of them. */
#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

static void close_folder(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

static DIR *open_folder_stream(int at, const char *name)
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
    nvl_auto(close_folder) DIR *dir = open_folder_stream(at, name);
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
    nvl_auto(close_folder) DIR *dir = open_folder_stream(at, name);
    if (dir == NULL)
        return -errno;
    const struct dirent *entry;
    int r = 0;
    while (r == 0 && (errno = 0, (entry = readdir(dir)) != NULL))
        if (!is_dots(entry->d_name))
            r = nvl_folder_remove(dirfd(dir), entry->d_name);
    if (r == 0 && errno != 0)
        r = -errno;
    if (r == 0 && unlinkat(at, name, AT_REMOVEDIR) < 0)
        r = -errno;
    return r;
}
