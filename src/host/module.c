/* Loaded kernel modules, by the names that begin the lines of /proc/modules. */
#include "host/module.h"

#include <errno.h>

#include "base/root.h"

#define MODULES_FILE     "/proc/modules"
#define MODULES_FILE_MAX (1u << 20)

const char nvl_vgpu_text[] =
    "the driver is NVIDIA's host driver for virtual GPUs (vGPU), which has no CUDA, for this host or for "
    "containers: NVIDIA's ordinary driver has, or a merged one that has both";

static const struct {
    const char *name;
    size_t at;
} names[] = {
    {"nvidia", offsetof(struct nvl_modules, nvidia)},
    {"nvidia_uvm", offsetof(struct nvl_modules, nvidia_uvm)},
    {"nvidia_modeset", offsetof(struct nvl_modules, nvidia_modeset)},
    {"nvidia_drm", offsetof(struct nvl_modules, nvidia_drm)},
    {"nvidia_vgpu_vfio", offsetof(struct nvl_modules, nvidia_vgpu_vfio)},
    {"nouveau", offsetof(struct nvl_modules, nouveau)},
    {"nova_core", offsetof(struct nvl_modules, nova_core)},
    {"vfio_pci", offsetof(struct nvl_modules, vfio_pci)},
};

int nvl_modules_read(const struct nvl_root *root, struct nvl_modules *modules, struct nvl_error *err)
{
    nvl_autofree char *text = NULL;
    size_t len = 0, pos = 0, line_len;
    const char *line;

    *modules = (struct nvl_modules){0};
    int r = nvl_root_read(root, MODULES_FILE, MODULES_FILE_MAX, &text, &len);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return nvl_error_errno(err, r, "cannot read %s" MODULES_FILE, root->name);
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        const char *blank = memchr(line, ' ', line_len);
        size_t name_len = blank != NULL ? (size_t)(blank - line) : line_len;
        for (size_t i = 0; i < NVL_LENGTH(names); i++)
            if (name_len == strlen(names[i].name) && memcmp(line, names[i].name, name_len) == 0)
                *(bool *)((char *)modules + names[i].at) = true;
    }
    return 0;
}
