/* Unmounts in a running container. */
#include "apply/eject.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/root.h"
#include "host/host.h"
#include "inject/bind.h"
#include "inject/home.h"
#include "inject/proc_view.h"

#define STACK_MAX 16 /* mounts on one place: the container may add more meanwhile */

static int unmount_path(const struct nvl_root *rootfs, const char *path)
{
    const char *name;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, path, &name);

    return parent < 0 ? parent : nvl_bind_unmount(parent, name);
}

void nvl_ejected_clear(struct nvl_ejected *ejected)
{
    free(ejected->devices);
    nvl_strv_clear(&ejected->what);
    nvl_strv_clear(&ejected->problems);
}

static bool is_short_number(const char *s)
{
    size_t digits = 0;

    while (isdigit((unsigned char)s[digits]))
        digits++;
    return digits > 0 && digits < 8 && s[digits] == '\0';
}

static bool has_number_behind(const char *name, const char *prefix)
{
    return nvl_has_prefix(name, prefix) && is_short_number(name + strlen(prefix));
}

static bool is_dri_of_nvidia(const struct nvl_host *host, const char *name)
{
    for (size_t i = 0; i < host->gpus.count; i++) {
        nvl_autofree char *card = nvl_xasprintf("card%d", host->gpus.items[i].card);
        nvl_autofree char *render = nvl_xasprintf("renderD%d", host->gpus.items[i].render);
        if (host->gpus.items[i].driver == NVL_GPU_NVIDIA &&
            (strcmp(name, card) == 0 || strcmp(name, render) == 0))
            return true;
    }
    return false;
}

/* Compares names: a node whose number the driver no longer has must go as well. */
bool nvl_eject_names(const struct nvl_host *host, const char *folder, const char *name)
{
    static const char *const common[] = {"nvidiactl", "nvidia-modeset", "nvidia-uvm", "nvidia-uvm-tools"};

    if (strcmp(folder, "/dev/nvidia-caps") == 0)
        return has_number_behind(name, "nvidia-cap");
    if (strcmp(folder, "/dev/dri") == 0)
        return is_dri_of_nvidia(host, name);
    for (size_t i = 0; i < NVL_LENGTH(common); i++)
        if (strcmp(name, common[i]) == 0)
            return true;
    return has_number_behind(name, "nvidia");
}

static bool is_node_kept(const char *path, const struct stat *st, const struct nvl_node *keep, size_t n_keep)
{
    for (size_t i = 0; i < n_keep; i++)
        if (strcmp(keep[i].path, path) == 0 && keep[i].major == (int)major(st->st_rdev) &&
            keep[i].minor == (int)minor(st->st_rdev))
            return true;
    return false;
}

/* The device that is mounted there; false if there is none, or something else. */
static bool find_mounted_node(const struct nvl_root *rootfs, const char *path, struct stat *st)
{
    nvl_autofd int fd = nvl_root_openat(rootfs, path, O_PATH | O_NOFOLLOW);

    return fd >= 0 && nvl_bind_is_mount(fd) && fstatat(fd, "", st, AT_EMPTY_PATH) == 0 &&
           S_ISCHR(st->st_mode);
}

static bool is_path_kept(const char *path, const struct nvl_node *keep, size_t n_keep)
{
    for (size_t i = 0; i < n_keep; i++)
        if (strcmp(keep[i].path, path) == 0)
            return true;
    return false;
}

/* Removes the empty file that a node is or was mounted on. */
static void remove_place(const struct nvl_ejection *e, const char *path)
{
    const char *name;
    struct stat st;
    nvl_autofd int parent = nvl_root_open_parent(e->rootfs, path, &name);

    if (parent < 0)
        return;
    int r = fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
    if (r == 0 && S_ISREG(st.st_mode) && st.st_size == 0)
        r = unlinkat(parent, name, 0) < 0 ? -errno : 0;
    if (r < 0 && r != -ENOENT)
        nvl_strv_pushf(&e->ejected->problems, "cannot remove the empty file %s: %s", path, strerror(-r));
}

static bool unmount_node(const struct nvl_ejection *e, const char *path)
{
    int r = e->only_look ? 0 : unmount_path(e->rootfs, path);

    if (r < 0)
        nvl_strv_pushf(&e->ejected->problems, "cannot remove %s: %s", path, strerror(-r));
    return r == 0;
}

static void note_ejected_node(const struct nvl_ejection *e, const char *path, const struct stat *st,
                              struct nvl_strv *names)
{
    struct nvl_device *device = NVL_APPEND(e->ejected->devices, e->ejected->n_devices);

    device->major = major(st->st_rdev);
    device->minor = minor(st->st_rdev);
    nvl_copy(device->path, sizeof device->path, path, strlen(path));
    nvl_strv_push(names, path + strlen("/dev/"));
}

/* As inject/bind.c mounts nodes; an entry of the config does so on few hosts. */
static bool has_our_flags(const struct nvl_root *rootfs, const char *path)
{
    struct statfs fs;
    nvl_autofd int fd = nvl_root_openat(rootfs, path, O_PATH | O_NOFOLLOW);

    return fd >= 0 && fstatfs(fd, &fs) == 0 &&
           (fs.f_flags & (ST_NOSUID | ST_NOEXEC)) == (ST_NOSUID | ST_NOEXEC);
}

/* A copy may cover the host's node: one that could not get a copy before, or an entry's, which stays. */
static void eject_node(const struct nvl_ejection *e, const char *path, const struct nvl_node *keep,
                       size_t n_keep, struct nvl_strv *names)
{
    struct stat st;

    for (int i = 0; i < STACK_MAX && find_mounted_node(e->rootfs, path, &st); i++) {
        if (is_node_kept(path, &st, keep, n_keep) || (i > 0 && !has_our_flags(e->rootfs, path)) ||
            !unmount_node(e, path))
            return;
        if (i == 0)
            note_ejected_node(e, path, &st, names);
        if (e->only_look)
            return;
    }
    if (!e->only_look && !is_path_kept(path, keep, n_keep))
        remove_place(e, path);
}

/* Made for the nodes; it stays if it contains more. */
static void remove_node_folder(const struct nvl_ejection *e, const char *folder)
{
    const char *name;
    nvl_autofd int parent = nvl_root_open_parent(e->rootfs, folder, &name);

    if (parent >= 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != ENOENT &&
        errno != ENOTDIR && errno != EBUSY)
        nvl_strv_pushf(&e->ejected->problems, "cannot remove the empty folder %s: %s", folder,
                       strerror(errno));
}

static void eject_nodes_of(const struct nvl_ejection *e, const char *folder, const struct nvl_node *keep,
                           size_t n_keep, struct nvl_strv *names)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv entries = {0};
    bool is_there = nvl_root_list(e->rootfs, folder, &entries) >= 0;
    size_t before = names->count;

    for (size_t i = 0; i < entries.count; i++) {
        if (!nvl_eject_names(e->host, folder, entries.items[i]))
            continue;
        nvl_autofree char *path = nvl_xasprintf("%s/%s", folder, entries.items[i]);
        eject_node(e, path, keep, n_keep, names);
    }
    if (is_there && !e->only_look && (names->count > before || n_keep == 0) && strcmp(folder, "/dev") != 0)
        remove_node_folder(e, folder);
}

void nvl_eject_nodes(const struct nvl_ejection *e, const struct nvl_node *keep, size_t n_keep)
{
    static const char *const folders[] = {"/dev", "/dev/nvidia-caps", "/dev/dri"};
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    for (size_t i = 0; i < NVL_LENGTH(folders); i++)
        eject_nodes_of(e, folders[i], keep, n_keep, &names);
    if (names.count > 0) {
        nvl_autofree char *list = nvl_strv_join(&names, " ");
        nvl_strv_pushf(&e->ejected->what, "devices %s", list);
    }
}

static bool is_same_file_at(const struct nvl_root *root, const char *path, int fd)
{
    nvl_autofd int there = fd >= 0 ? nvl_root_openat(root, path, O_PATH | O_NOFOLLOW) : -1;

    return there >= 0 && nvl_bind_is(there, fd);
}

/* The version, if one of the host's bundles is mounted there. A bundle that was removed meanwhile is a folder
 * without a name on the bundles' file system. */
static char *find_mounted_bundle(const struct nvl_ejection *e, const char *home)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv versions = {0};
    struct stat st, store;
    nvl_autofd int there = nvl_root_openat(e->rootfs, home, O_PATH | O_NOFOLLOW);

    if (there < 0 || !nvl_bind_is_mount(there))
        return NULL;
    nvl_root_list(e->host->root, NVL_BUNDLE_DIR, &versions);
    for (size_t i = 0; i < versions.count; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", NVL_BUNDLE_DIR, versions.items[i]);
        if (is_same_file_at(e->host->root, path, there))
            return nvl_xstrdup(versions.items[i]);
    }
    if (fstatat(there, "", &st, AT_EMPTY_PATH) == 0 && st.st_nlink == 0 &&
        nvl_root_stat(e->host->root, NVL_BUNDLE_DIR, 0, &store) == 0 && st.st_dev == store.st_dev)
        return nvl_xstrdup("of a removed bundle");
    return NULL;
}

static void eject_driver_from(const struct nvl_ejection *e, const char *home, int keep)
{
    for (int i = 0; i < STACK_MAX; i++) {
        nvl_autofree char *version = find_mounted_bundle(e, home);
        if (version == NULL || is_same_file_at(e->rootfs, home, keep))
            return;
        int r = e->only_look ? 0 : unmount_path(e->rootfs, home);
        if (r < 0)
            nvl_strv_pushf(&e->ejected->problems, "cannot unmount the driver from %s: %s", home,
                           strerror(-r));
        else
            nvl_strv_pushf(&e->ejected->what, "driver %s", version);
        if (r < 0 || e->only_look)
            return;
    }
}

void nvl_eject_driver(const struct nvl_ejection *e, int keep)
{
    for (size_t i = 0; i < NVL_HOMES; i++)
        eject_driver_from(e, nvl_homes[i], keep);
}

void nvl_eject_view(const struct nvl_ejection *e, const struct nvl_proc_view *keep)
{
    bool said = false;

    for (int i = 0; i < STACK_MAX; i++) {
        if (!nvl_proc_view_is_there(e->rootfs) || (keep != NULL && nvl_proc_view_is_current(keep, e->rootfs)))
            return;
        int r = e->only_look ? 0 : unmount_path(e->rootfs, NVL_PROC_NVIDIA);
        if (r < 0)
            nvl_strv_pushf(&e->ejected->problems, "cannot unmount its view of " NVL_PROC_NVIDIA ": %s",
                           strerror(-r));
        else if (!said)
            nvl_strv_push(&e->ejected->what, "its view of " NVL_PROC_NVIDIA);
        said = true;
        if (r < 0 || e->only_look)
            return;
    }
}
