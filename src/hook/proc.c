/* /proc/driver/nvidia as the container shall see it. */
#include "hook/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sys.h"

#define PROC_NVIDIA "/proc/driver/nvidia"

/* The host's folder, and the new tmpfs. Nobody but this program can write to the latter: its own names can be
 * trusted. */
struct view {
    int host, fd;
};

/* For the folders above `name`. */
static int make_parents(const struct view *view, const char *name)
{
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        nvl_autofree char *above = nvl_xstrndup(name, (size_t)(slash - name));
        if (mkdirat(view->fd, above, 0755) < 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}

static int write_text(const struct view *view, const char *name, const char *text, size_t len)
{
    nvl_autofd int fd = openat(view->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    return fd < 0 ? -errno : nvl_fd_write(fd, text, len);
}

/* The host's params, with the line that keeps the container's libraries from making nodes. */
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
    return write_text(view, "params", out.data != NULL ? out.data : "", out.len);
}

/* What to mount on: a folder or a file. -EEXIST where it is there already. */
static int make_target(const struct view *view, const char *name, bool is_folder)
{
    int r = is_folder ? mkdirat(view->fd, name, 0755) : mknodat(view->fd, name, S_IFREG | 0644, 0);

    return r < 0 ? -errno : 0;
}

/* Binds the host's folder or file of that name; what the host lacks is left out. */
static int bind_entry(const struct view *view, const char *name, bool is_folder)
{
    nvl_autofd int mount_fd = nvl_sys_clone_mount(view->host, name);

    if (mount_fd < 0)
        return mount_fd == -ENOENT ? 0 : mount_fd;
    int r = make_target(view, name, is_folder);
    if (r == -ENOENT) {
        r = make_parents(view, name);
        if (r == 0)
            r = make_target(view, name, is_folder);
    }
    if (r == -EEXIST) /* two MIG devices share a GPU, and maybe an instance */
        return 0;
    return r < 0 ? r : nvl_sys_move_mount_at(mount_fd, view->fd, name);
}

static int bind_format(const struct view *view, bool is_folder, const char *fmt, ...) NVL_PRINTF(3, 4);
static int bind_format(const struct view *view, bool is_folder, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    nvl_autofree char *name = nvl_xvasprintf(fmt, ap);
    va_end(ap);
    return bind_entry(view, name, is_folder);
}

/* The GPU's folder, and of its MIG capabilities those that are granted. */
static int fill_gpu(const struct view *view, const struct nvl_resolved_gpu *given)
{
    const struct nvl_gpu *gpu = given->gpu;
    const struct nvl_mig *mig = given->mig;
    int r = bind_format(view, true, "gpus/%s", gpu->pci);

    if (r == 0 && gpu->mig_enabled && mig == NULL)
        r = bind_format(view, true, "capabilities/gpu%d", gpu->minor);
    if (r == 0 && mig != NULL)
        r = bind_format(view, false, "capabilities/gpu%d/mig/gi%u/access", gpu->minor, mig->gi);
    if (r == 0 && mig != NULL)
        r = bind_format(view, true, "capabilities/gpu%d/mig/gi%u/ci%u", gpu->minor, mig->gi, mig->ci);
    return r;
}

static int fill(const struct nvl_host *host, const struct view *view, const struct nvl_resolved *resolved)
{
    int r = mkdirat(view->fd, "gpus", 0755) < 0 ? -errno : 0;

    if (r == 0 && host->version_text != NULL)
        r = write_text(view, "version", host->version_text, strlen(host->version_text));
    if (r == 0 && host->params_text != NULL)
        r = write_params(view, host->params_text);
    if (r == 0)
        r = bind_entry(view, "registry", false);
    for (size_t i = 0; i < resolved->n_gpus && r == 0; i++)
        r = fill_gpu(view, &resolved->gpus[i]);
    return r;
}

int nvl_proc_mount(const struct nvl_host *host, const struct nvl_root *rootfs,
                   const struct nvl_resolved *resolved)
{
    nvl_autofd int target = nvl_root_openat(rootfs, PROC_NVIDIA, O_PATH | O_DIRECTORY | O_NOFOLLOW);

    if (target < 0)
        return target == -ENOENT ? 0 : target;
    nvl_autofd int source = nvl_root_openat(host->root, PROC_NVIDIA, O_PATH | O_DIRECTORY);
    nvl_autofd int mount_fd = nvl_sys_new_tmpfs("0555");
    if (source < 0 || mount_fd < 0)
        return source < 0 ? source : mount_fd;
    /* attached first: a mount can only be moved onto a tree that is attached itself */
    int r = nvl_sys_move_mount(mount_fd, target);
    if (r < 0)
        return r;
    const struct view view = {.host = source, .fd = mount_fd};
    r = fill(host, &view, resolved);
    int sealed = nvl_sys_set_mount_flags(mount_fd, MOUNT_ATTR_RDONLY);
    return r < 0 ? r : sealed;
}
