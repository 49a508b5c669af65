/* MIG devices of one GPU: each GPU instance (giX) and compute instance (giX/ciY) has a file `access` that
 * names the minor of its capability node. Only a compute instance can be used, so a GPU instance without one
 * is not listed. */
#include "host/mig.h"

#include <limits.h>

#define ACCESS_FILE_MAX 4096

/* "gi3" with prefix "gi" is 3. */
static bool take_number(const char *name, const char *prefix, unsigned *number)
{
    uint64_t value;

    if (!nvl_has_prefix(name, prefix) || nvl_parse_uint(name + strlen(prefix), 10, UINT_MAX, &value) < 0)
        return false;
    *number = (unsigned)value;
    return true;
}

static bool read_minor(const struct nvl_root *root, const char *instance, unsigned *minor)
{
    nvl_autofree char *path = nvl_xasprintf("%s/access", instance);
    nvl_autofree char *text = NULL;
    const char *line, *value;
    size_t len, line_len, value_len, pos = 0;

    if (nvl_root_read(root, path, ACCESS_FILE_MAX, &text, &len) < 0)
        return false;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        char digits[16];
        uint64_t number;
        if (!nvl_line_value(line, line_len, "DeviceFileMinor", &value, &value_len))
            continue;
        if (!nvl_copy(digits, sizeof digits, value, value_len) ||
            nvl_parse_uint(digits, 10, INT_MAX, &number) < 0)
            return false;
        *minor = (unsigned)number;
        return true;
    }
    return false;
}

static void read_gpu_instance(const struct nvl_root *root, const char *path, unsigned gi, struct nvl_gpu *gpu)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    unsigned gi_minor, ci;

    if (nvl_root_list(root, path, &names) < 0 || !read_minor(root, path, &gi_minor))
        return;
    for (size_t i = 0; i < names.count; i++) {
        unsigned ci_minor;
        nvl_autofree char *instance = nvl_xasprintf("%s/%s", path, names.items[i]);
        if (take_number(names.items[i], "ci", &ci) && read_minor(root, instance, &ci_minor))
            *NVL_APPEND(gpu->migs, gpu->n_migs) =
                (struct nvl_mig){.gi = gi, .ci = ci, .gi_minor = gi_minor, .ci_minor = ci_minor};
    }
}

static int compare(const void *a, const void *b)
{
    const struct nvl_mig *x = a, *y = b;

    if (x->gi != y->gi)
        return x->gi < y->gi ? -1 : 1;
    return (int)(x->ci > y->ci) - (int)(x->ci < y->ci);
}

void nvl_gpu_read_migs(const struct nvl_root *root, struct nvl_gpu *gpu)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    unsigned gi;

    if (gpu->minor < 0)
        return;
    nvl_autofree char *path = nvl_xasprintf("/proc/driver/nvidia/capabilities/gpu%d/mig", gpu->minor);
    if (nvl_root_list(root, path, &names) < 0)
        return;
    gpu->mig_enabled = nvl_strv_contains(&names, "config");
    for (size_t i = 0; i < names.count; i++) {
        if (!take_number(names.items[i], "gi", &gi))
            continue;
        nvl_autofree char *instance = nvl_xasprintf("%s/%s", path, names.items[i]);
        gpu->mig_enabled = true;
        read_gpu_instance(root, instance, gi, gpu);
    }
    /* gi10 is listed before gi2 */
    if (gpu->n_migs > 1)
        qsort(gpu->migs, gpu->n_migs, sizeof *gpu->migs, compare);
}
