/* /proc/driver/nvidia as the container shall see it. */
#include "hook/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sys.h"

#define PROC_NVIDIA "/proc/driver/nvidia"
#define PROC_MAX    (64u << 10)

/* Everything below is made relative to `view`, the new tmpfs as a root of its own. */

static int write_text(const struct nvl_root *view, const char *name, const char *text, size_t len)
{
    nvl_autofd int fd = nvl_root_openat(view, name, O_WRONLY | O_CREAT | O_EXCL);

    return fd < 0 ? fd : nvl_fd_write(fd, text, len);
}

static int copy_file(const struct nvl_root *host, const struct nvl_root *view, const char *name)
{
    nvl_autofree char *source = nvl_xasprintf(PROC_NVIDIA "%s", name), *text = NULL;
    size_t len;

    int r = nvl_root_read(host, source, PROC_MAX, &text, &len);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    return write_text(view, name, text, len);
}

/* The host's params, with the line that keeps the container's libraries from making nodes. */
static int write_params(const struct nvl_root *host, const struct nvl_root *view)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};
    nvl_autofree char *text = NULL;
    const char *line, *value;
    size_t len, pos = 0, line_len, value_len;

    int r = nvl_root_read(host, PROC_NVIDIA "/params", PROC_MAX, &text, &len);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        if (nvl_line_value(line, line_len, "ModifyDeviceFiles", &value, &value_len))
            nvl_buf_addf(&out, "ModifyDeviceFiles: 0\n");
        else
            nvl_buf_addf(&out, "%.*s\n", (int)line_len, line);
    }
    return write_text(view, "/params", out.data, out.len);
}

/* Binds the host's folder or file of that name; what the host lacks is left out. */
static int bind_entry(const struct nvl_root *host, const struct nvl_root *view, const char *name)
{
    struct stat st;
    nvl_autofree char *source = nvl_xasprintf(PROC_NVIDIA "%s", name);
    nvl_autofd int fd = nvl_root_openat(host, source, O_PATH | O_NOFOLLOW);

    if (fd == -ENOENT)
        return 0;
    if (fd < 0 || fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return fd < 0 ? fd : -errno;
    nvl_autofree char *above = nvl_xstrndup(name, (size_t)(strrchr(name, '/') - name));
    int r = nvl_root_make_folder(view, S_ISDIR(st.st_mode) ? name : above);
    if (r == 0 && !S_ISDIR(st.st_mode))
        r = write_text(view, name, "", 0);
    if (r < 0)
        return r;
    nvl_autofd int target = nvl_root_openat(view, name, O_PATH | O_NOFOLLOW);
    nvl_autofd int mount_fd = nvl_sys_clone_mount(fd, "");
    if (target < 0 || mount_fd < 0)
        return target < 0 ? target : mount_fd;
    return nvl_sys_move_mount(mount_fd, target);
}

/* The GPU's folder, and of its MIG capabilities those that are granted. */
static int fill_gpu(const struct nvl_root *host, const struct nvl_root *view,
                    const struct nvl_resolved_gpu *r)
{
    const struct nvl_gpu *gpu = r->gpu;
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_strv_pushf(&names, "/gpus/%s", gpu->pci);
    if (gpu->mig_enabled && r->mig == NULL) {
        nvl_strv_pushf(&names, "/capabilities/gpu%d", gpu->minor);
    } else if (r->mig != NULL) {
        nvl_strv_pushf(&names, "/capabilities/gpu%d/mig/gi%u/access", gpu->minor, r->mig->gi);
        nvl_strv_pushf(&names, "/capabilities/gpu%d/mig/gi%u/ci%u", gpu->minor, r->mig->gi, r->mig->ci);
    }
    for (size_t i = 0; i < names.count; i++) {
        /* two MIG devices share a GPU, and maybe an instance */
        int ret = nvl_root_exists(view, names.items[i]) ? 0 : bind_entry(host, view, names.items[i]);
        if (ret < 0)
            return ret;
    }
    return 0;
}

static int fill(const struct nvl_root *host, const struct nvl_root *view, const struct nvl_resolved *resolved)
{
    int r = copy_file(host, view, "/version");

    if (r == 0)
        r = copy_file(host, view, "/registry");
    if (r == 0)
        r = write_params(host, view);
    if (r == 0)
        r = nvl_root_make_folder(view, "/gpus");
    for (size_t i = 0; i < resolved->n_gpus && r == 0; i++)
        r = fill_gpu(host, view, &resolved->gpus[i]);
    return r;
}

int nvl_proc_mount(const struct nvl_root *host, const struct nvl_root *rootfs,
                   const struct nvl_resolved *resolved)
{
    nvl_autofd int target = nvl_root_openat(rootfs, PROC_NVIDIA, O_PATH | O_DIRECTORY | O_NOFOLLOW);

    if (target < 0)
        return target == -ENOENT ? 0 : target;
    nvl_autofd int mount_fd = nvl_sys_new_tmpfs("0555");
    if (mount_fd < 0)
        return mount_fd;
    /* attached first: a mount can only be moved onto a tree that is attached itself */
    int r = nvl_sys_move_mount(mount_fd, target);
    if (r < 0)
        return r;
    const struct nvl_root view = {.fd = mount_fd, .name = (char *)PROC_NVIDIA};
    r = fill(host, &view, resolved);
    int sealed = nvl_sys_set_mount_flags(mount_fd, MOUNT_ATTR_RDONLY);
    return r < 0 ? r : sealed;
}
