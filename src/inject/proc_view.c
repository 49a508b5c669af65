/* /proc/driver/nvidia as the container sees it. */
#include "inject/proc_view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"
#include "base/root.h"
#include "base/sys.h"
#include "grant/resolve.h"
#include "inject/bind.h"

#define PROC_NVIDIA NVL_PROC_NVIDIA
#define PROC_MAX    (64u << 10)
#define DEPTH_MAX   8    /* capabilities/gpu0/mig/gi1/ci0 */
#define ENTRIES_MAX 4096 /* the container may have made what is looked at */

/* The host's folder, and the new tmpfs. Only this program can write to the latter, so its names can be
 * trusted. */
struct view {
    int host, fd;
    struct nvl_proc_view *made;
};

static int write_view_text(const struct view *view, const char *name, const char *text, size_t len)
{
    nvl_autofd int fd = openat(view->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    return fd < 0 ? -errno : nvl_fd_write(fd, text, len);
}

/* The host's params, plus the line that stops the container's libraries from making nodes. */
static int write_params(const struct view *view, const char *text)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};
    const char *line, *value;
    size_t pos = 0, len = strlen(text), line_len, value_len;

    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        if (nvl_line_value(line, line_len, "ModifyDeviceFiles", &value, &value_len))
            nvl_buf_addf(&out, "ModifyDeviceFiles: 0\n");
        else
            nvl_buf_addf(&out, "%.*s\n", (int)line_len, line);
    }
    return write_view_text(view, "params", out.data != NULL ? out.data : "", out.len);
}

/* The module takes its parameters once, when it loads. So a copy stays correct and needs no mount, each of
 * which delays the start of a container (docs/performance.md). */
static int copy_registry(const struct view *view)
{
    nvl_autofd int fd = openat(view->host, "registry", O_RDONLY | O_CLOEXEC);
    nvl_autofree char *text = NULL;
    size_t len = 0;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int r = nvl_fd_read(fd, PROC_MAX, &text, &len);
    return r < 0 ? r : write_view_text(view, "registry", text, len);
}

/* Makes what to mount on: a folder or a file. -EEXIST if it already exists. */
static int make_mount_target(const struct view *view, const char *name, bool is_folder)
{
    int r = is_folder ? mkdirat(view->fd, name, 0755) : mknodat(view->fd, name, S_IFREG | 0644, 0);

    return r < 0 ? -errno : 0;
}

/* Adds the host's folder or file of that name with a place for it; skips what the host lacks. It includes the
 * mounts below: if the host is itself a container, its `gpus` may have some. */
static int add_view_entry(const struct view *view, const char *name, bool is_folder)
{
    nvl_autofd int mount_fd = nvl_sys_clone_tree(view->host, name);

    if (mount_fd < 0)
        return mount_fd == -ENOENT ? 0 : mount_fd;
    int r = make_mount_target(view, name, is_folder);
    if (r == -ENOENT) {
        const struct nvl_root root = nvl_root_borrow(view->fd);
        r = nvl_root_make_parents(&root, name);
        if (r == 0)
            r = make_mount_target(view, name, is_folder);
    }
    if (r == -EEXIST) /* two MIG devices share a GPU, and perhaps an instance */
        return 0;
    if (r == 0 && view->made->is_from_host)
        r = nvl_sys_make_private(mount_fd);
    if (r < 0)
        return r;
    nvl_strv_push(&view->made->names, name);
    *NVL_APPEND(view->made->mounts, view->made->n_mounts) = TAKE_FD(mount_fd);
    return 0;
}

static int add_format(const struct view *view, bool is_folder, const char *fmt, ...) NVL_PRINTF(3, 4);
static int add_format(const struct view *view, bool is_folder, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    nvl_autofree char *name = nvl_xvasprintf(fmt, ap);
    va_end(ap);
    return add_view_entry(view, name, is_folder);
}

/* Adds the granted ones of the GPU's MIG capabilities. */
static int add_gpu_capabilities(const struct view *view, const struct nvl_resolved_gpu *given)
{
    const struct nvl_gpu *gpu = given->gpu;
    const struct nvl_mig *mig = given->mig;
    int r = 0;

    if (gpu->mig_enabled && mig == NULL)
        r = add_format(view, true, "capabilities/gpu%d", gpu->minor);
    if (r == 0 && mig != NULL)
        r = add_format(view, false, "capabilities/gpu%d/mig/gi%u/access", gpu->minor, mig->gi);
    if (r == 0 && mig != NULL)
        r = add_format(view, true, "capabilities/gpu%d/mig/gi%u/ci%u", gpu->minor, mig->gi, mig->ci);
    return r;
}

/* Whether each GPU of the driver is granted as a whole. */
static bool has_every_gpu(const struct nvl_host *host, const struct nvl_resolved *resolved)
{
    size_t n = 0;

    for (size_t i = 0; i < host->gpus.count; i++)
        n += host->gpus.items[i].driver == NVL_GPU_NVIDIA;
    for (size_t i = 0; i < resolved->n_gpus; i++)
        if (resolved->gpus[i].mig != NULL)
            return false;
    return n > 0 && resolved->n_gpus == n;
}

/* Uses one mount for all of them if there is nothing to hide. */
static int add_gpus_to_view(const struct nvl_host *host, const struct view *view,
                            const struct nvl_resolved *resolved)
{
    bool all = has_every_gpu(host, resolved);
    int r = 0;

    if (all)
        r = add_view_entry(view, "gpus", true);
    else if (mkdirat(view->fd, "gpus", 0755) < 0)
        r = -errno;
    for (size_t i = 0; i < resolved->n_gpus && r == 0; i++) {
        if (!all)
            r = add_format(view, true, "gpus/%s", resolved->gpus[i].gpu->pci);
        if (r == 0)
            r = add_gpu_capabilities(view, &resolved->gpus[i]);
    }
    return r;
}

static int fill_view(const struct nvl_host *host, const struct view *view,
                     const struct nvl_resolved *resolved)
{
    int r = 0;

    if (host->version_text != NULL)
        r = write_view_text(view, "version", host->version_text, strlen(host->version_text));
    if (r == 0 && host->params_text != NULL)
        r = write_params(view, host->params_text);
    if (r == 0)
        r = copy_registry(view);
    return r == 0 ? add_gpus_to_view(host, view, resolved) : r;
}

int nvl_proc_view_make(struct nvl_proc_view *made, bool is_from_host, const struct nvl_host *host,
                       const struct nvl_resolved *resolved)
{
    *made = NVL_PROC_VIEW_NONE;
    made->is_from_host = is_from_host;
    nvl_autofd int source = nvl_root_openat(host->root, PROC_NVIDIA, O_PATH | O_DIRECTORY);
    if (source < 0)
        return source;
    made->mount_fd = nvl_sys_new_tmpfs("0555");
    if (made->mount_fd < 0)
        return made->mount_fd;
    const struct view view = {.host = source, .fd = made->mount_fd, .made = made};
    return fill_view(host, &view, resolved);
}

void nvl_proc_view_clear(struct nvl_proc_view *v)
{
    for (size_t i = 0; i < v->n_mounts; i++)
        close(v->mounts[i]);
    free(v->mounts);
    nvl_strv_clear(&v->names);
    if (v->mount_fd >= 0)
        close(v->mount_fd);
    *v = NVL_PROC_VIEW_NONE;
}

/* Whether the view is mounted: a read-only tmpfs, unlike the driver's own folder. */
static int open_mounted_view(const struct nvl_root *rootfs)
{
    struct statfs fs;
    nvl_autofd int fd = nvl_root_openat(rootfs, PROC_NVIDIA, O_PATH | O_DIRECTORY | O_NOFOLLOW);

    if (fd < 0)
        return fd;
    if (!nvl_bind_is_mount(fd) || fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC ||
        (fs.f_flags & ST_RDONLY) == 0)
        return -ENOENT;
    return TAKE_FD(fd);
}

bool nvl_proc_view_is_there(const struct nvl_root *rootfs)
{
    nvl_autofd int fd = open_mounted_view(rootfs);

    return fd >= 0;
}

struct describing {
    const struct nvl_root *view;
    const struct nvl_strv *mounts; /* not mounted yet; NULL: recognized by their file system */
    dev_t dev;
    unsigned n_entries;
    struct nvl_buf text;
};

/* The contents as a text: the view's own files with their contents, and the mount points. */
static int describe_view(struct describing *d, const char *folder, unsigned depth)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct stat st;

    int r = depth > DEPTH_MAX ? -ELOOP : nvl_root_list(d->view, folder, &names);
    for (size_t i = 0; i < names.count && r == 0; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", folder, names.items[i]), *text = NULL;
        size_t len = 0;
        r = d->n_entries++ < ENTRIES_MAX ? nvl_root_stat(d->view, path, AT_SYMLINK_NOFOLLOW, &st) : -E2BIG;
        if (r < 0)
            break;
        bool is_mount = d->mounts != NULL ? nvl_strv_contains(d->mounts, path + 1) : st.st_dev != d->dev;
        nvl_buf_addf(&d->text, "%s%s\n", path, is_mount ? " mounted" : "");
        if (is_mount)
            continue;
        r = S_ISDIR(st.st_mode) ? describe_view(d, path, depth + 1)
                                : nvl_root_read(d->view, path, PROC_MAX, &text, &len);
        nvl_buf_add(&d->text, text, len);
    }
    return r;
}

bool nvl_proc_view_is_current(const struct nvl_proc_view *v, const struct nvl_root *rootfs)
{
    nvl_autofd int fd = open_mounted_view(rootfs);
    const struct nvl_root made = nvl_root_borrow(v->mount_fd), mounted = nvl_root_borrow(fd);
    struct describing wanted = {.view = &made, .mounts = &v->names}, there = {.view = &mounted};
    struct stat st;

    if (fd < 0 || v->mount_fd < 0 || fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return false;
    there.dev = st.st_dev;
    bool same = describe_view(&wanted, "", 0) == 0 && describe_view(&there, "", 0) == 0 &&
                wanted.text.len == there.text.len &&
                memcmp(wanted.text.data, there.text.data, wanted.text.len) == 0;
    nvl_buf_clear(&wanted.text);
    nvl_buf_clear(&there.text);
    return same;
}

int nvl_proc_view_put(const struct nvl_proc_view *v, const struct nvl_root *rootfs)
{
    nvl_autofd int target = nvl_root_openat(rootfs, PROC_NVIDIA, O_PATH | O_DIRECTORY | O_NOFOLLOW);

    if (target < 0)
        return target == -ENOENT ? 1 : target;
    /* read-only before anybody sees it: by that it is known, also where this ends in the middle */
    int r = nvl_sys_set_mount_flags(v->mount_fd, MOUNT_ATTR_RDONLY);
    /* attach the tmpfs first: a mount can only be moved onto an attached tree */
    if (r == 0)
        r = nvl_sys_move_mount(v->mount_fd, target);
    for (size_t i = 0; i < v->n_mounts && r == 0; i++)
        r = nvl_sys_move_mount_at(v->mounts[i], v->mount_fd, v->names.items[i]);
    return r;
}
