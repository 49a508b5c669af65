/* The folder of bundles: makes, locks and sweeps it. */
#include "bundle/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/locks.h"
#include "base/paths.h"
#include "host/driver_version.h"

#define KEPT_SEARCH "/var/lib/nvlxc/search"

static int take_store_lock(int fd, unsigned wait_ms, struct nvl_error *err)
{
    int r = nvl_lock_wait(fd, wait_ms);

    if (r == -ETIMEDOUT) {
        nvl_autofree char *holder = nvl_lock_holder_text(fd);
        nvl_error_set(err, -EAGAIN, "%s is writing in %s (waited %u s for its lock)", holder, NVL_BUNDLE_DIR,
                      wait_ms / 1000);
        nvl_error_hint(err, "run it again when that one has finished");
        return -EAGAIN;
    }
    return r < 0 ? nvl_error_errno(err, r, "cannot lock %s", NVL_BUNDLE_DIR) : 0;
}

/* ".550.163.01.tmp.4711" */
static bool is_temporary_name(const char *name)
{
    const char *mark = strstr(name, ".tmp.");

    return name[0] == '.' && mark != NULL && nvl_is_version(name + 1, (size_t)(mark - name - 1));
}

/* Under the lock nobody else uses one. */
static void sweep_store(const struct nvl_root *root, int dirfd)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    if (nvl_root_list(root, NVL_BUNDLE_DIR, &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++)
        if (is_temporary_name(names.items[i]))
            nvl_folder_remove(dirfd, names.items[i]);
}

/* Earlier versions kept there what their search for the driver's files had found. A file that they did not
 * write stays. */
static void remove_kept_search(const struct nvl_root *root)
{
    static const char begin[] = "program: ";
    char text[sizeof begin - 1];
    const char *name;
    nvl_autofd int fd = nvl_root_openat(root, KEPT_SEARCH, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || read(fd, text, sizeof text) != (ssize_t)sizeof text ||
        memcmp(text, begin, sizeof text) != 0)
        return;
    nvl_autofd int folder = nvl_root_open_parent(root, KEPT_SEARCH, &name);
    if (folder >= 0)
        unlinkat(folder, name, 0);
}

int nvl_store_open(const struct nvl_root *root, unsigned wait_ms, int *dirfd, int *lockfd,
                   struct nvl_error *err)
{
    int r = nvl_root_trouble(root, err); /* what is to be written may lack something */

    if (r < 0)
        return r;
    r = nvl_root_make_folder(root, NVL_BUNDLE_DIR);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot make %s%s", root->name, NVL_BUNDLE_DIR);
    nvl_autofd int dir = nvl_root_openat(root, NVL_BUNDLE_DIR, O_RDONLY | O_DIRECTORY);
    if (dir < 0)
        return nvl_error_errno(err, dir, "cannot open %s%s", root->name, NVL_BUNDLE_DIR);
    nvl_autofd int lock = openat(dir, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock < 0)
        return nvl_error_errno(err, -errno, "cannot open %s%s/.lock", root->name, NVL_BUNDLE_DIR);
    r = take_store_lock(lock, wait_ms, err);
    if (r < 0)
        return r;
    sweep_store(root, dir);
    remove_kept_search(root);
    *dirfd = TAKE_FD(dir);
    *lockfd = TAKE_FD(lock);
    return 0;
}

char *nvl_store_temporary_name(const char *version)
{
    return nvl_xasprintf(".%s.tmp.%d", version, (int)getpid());
}

int nvl_store_error(int dirfd, int code, const char *version, uint64_t needed, struct nvl_error *err)
{
    char needs[32], has[32];
    struct statvfs fs;

    if (code != -ENOSPC || fstatvfs(dirfd, &fs) < 0)
        return nvl_error_errno(err, code, "cannot write the driver bundle %s/%s", NVL_BUNDLE_DIR, version);
    uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
    nvl_format_size(needed, needs, sizeof needs);
    nvl_format_size(available, has, sizeof has);
    nvl_error_set(err, code, "no space for the driver bundle %s/%s: it needs %s, %s are free%s",
                  NVL_BUNDLE_DIR, version, needs, has,
                  available >= needed ? "; the file system's inodes may be used up" : "");
    nvl_error_hint(err, "free space there, or remove old bundles: nvlxc driver prune");
    return code;
}
