/* Where the driver is, or can be, in a container's root file system. */
#include "inject/home.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/root.h"
#include "inject/linker.h"

const char *const nvl_homes[NVL_HOMES] = {NVL_MOUNT_POINT, NVL_OTHER_MOUNT_POINT};

const char *nvl_home(const struct nvl_root *rootfs)
{
    nvl_auto(nvl_linker_conf_clear) struct nvl_linker_conf conf = {0};
    int errors[NVL_HOMES];

    nvl_linker_conf_read(rootfs, &conf);
    for (size_t i = 0; conf.home == NULL && i < NVL_HOMES; i++)
        if (nvl_root_exists(rootfs, nvl_homes[i]))
            conf.home = nvl_homes[i];
    if (conf.home == NULL)
        conf.home = nvl_home_choose(rootfs, errors);
    return conf.home != NULL ? conf.home : nvl_homes[0];
}

const char *nvl_path_below_home(const char *path)
{
    for (size_t i = 0; i < NVL_HOMES; i++) {
        size_t len = strlen(nvl_homes[i]);
        if (strncmp(path, nvl_homes[i], len) == 0 && path[len] == '/')
            return path + len;
    }
    return NULL;
}

/* The deepest folder on the way to `path` that exists. -ENOENT if a broken link is next. */
static int open_deepest(const struct nvl_root *own, const char *path)
{
    nvl_autofree char *above = nvl_xstrndup(path, (size_t)(strrchr(path, '/') - path));
    struct stat st;
    int fd = nvl_root_openat(own, above, O_PATH | O_DIRECTORY);

    if (fd != -ENOENT || above[0] == '\0')
        return fd;
    return nvl_root_stat(own, above, AT_SYMLINK_NOFOLLOW, &st) == 0 ? -ENOENT : open_deepest(own, above);
}

/* Whether something can be made in the folder: 0, or why not. */
static int try_folder(int fd)
{
    struct statvfs fs;

    if (faccessat(fd, "", W_OK, AT_EMPTY_PATH | AT_EACCESS) < 0)
        return -errno;
    if (fstatvfs(fd, &fs) == 0 &&
        ((fs.f_blocks > 0 && fs.f_bavail == 0) || (fs.f_files > 0 && fs.f_favail == 0)))
        return -ENOSPC;
    return 0;
}

int nvl_home_judge(const struct nvl_root *rootfs, const char *home)
{
    const struct nvl_root own = nvl_root_own(rootfs);
    const char *name;
    nvl_autofd int fd = nvl_root_openat(&own, home, O_PATH | O_DIRECTORY | O_NOFOLLOW);

    if (fd >= 0 || (fd != -ENOENT && fd != -EXDEV))
        return fd >= 0 ? 0 : fd;
    if (fd == -EXDEV) { /* it is a mount itself, which the bundle covers; or it lies on one */
        nvl_autofd int parent = nvl_root_open_parent(&own, home, &name);
        return parent < 0 ? parent : 0;
    }
    nvl_autofd int folder = open_deepest(&own, home);
    return folder < 0 ? folder : try_folder(folder);
}

const char *nvl_home_obstacle(int error)
{
    switch (error) {
    case -EXDEV:
        return "lies on a mount of its own, which others may share";
    case -ENOTDIR:
    case -ELOOP:
        return "is a link or a file, not a folder";
    case -ENOENT:
        return "lies behind a broken link";
    case -EROFS:
        return "does not exist yet, and its file system is read-only";
    case -EACCES:
        return "cannot be made: the folder above it is not the container's root's";
    case -ENOSPC:
        return "cannot be made: no space is left on its file system";
    default:
        return strerror(-error);
    }
}

const char *nvl_home_choose(const struct nvl_root *rootfs, int errors[NVL_HOMES])
{
    for (size_t i = 0; i < NVL_HOMES; i++) {
        errors[i] = nvl_home_judge(rootfs, nvl_homes[i]);
        if (errors[i] == 0)
            return nvl_homes[i];
        if (nvl_is_trouble(errors[i])) { /* it may be the one that was chosen before */
            while (++i < NVL_HOMES)
                errors[i] = errors[i - 1];
            return NULL;
        }
    }
    return NULL;
}
