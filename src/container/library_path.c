/* Where the loader of a container's first process looks before its cache. */
#include "container/library_path.h"

#include "base/root.h"

#define VARIABLE "LD_LIBRARY_PATH"

static bool is_bundle(const char *home, const char *folder)
{
    size_t len = strlen(folder);
    nvl_autofree char *bundle = nvl_xasprintf("%s/lib64", home);

    while (len > 1 && folder[len - 1] == '/')
        len--;
    return len == strlen(bundle) && strncmp(folder, bundle, len) == 0;
}

/* The loader takes the first folder that has it. */
static void walk_folders(struct nvl_library_path *path, const struct nvl_root *rootfs, const char *home)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv folders = {0};
    nvl_autofree char *shadow = NULL;

    nvl_strv_split(&folders, path->value, ":;");
    for (size_t i = 0; i < folders.count; i++) {
        if (is_bundle(home, folders.items[i])) {
            path->state = NVL_LIBRARY_PATH_FINDS;
            break;
        }
        nvl_autofree char *libcuda = nvl_xasprintf("%s/libcuda.so.1", folders.items[i]);
        if (shadow == NULL && rootfs != NULL && libcuda[0] == '/' && nvl_root_exists(rootfs, libcuda))
            shadow = TAKE_PTR(libcuda);
    }
    path->shadowed = TAKE_PTR(shadow);
}

const struct nvl_setting *nvl_library_path_setting(const struct nvl_effective *effective)
{
    const struct nvl_setting *s = nvl_effective_variable_setting(effective, NVL_KEY_RUNTIME, VARIABLE);

    return s != NULL ? s : nvl_effective_variable_setting(effective, NVL_KEY_ENVIRONMENT, VARIABLE);
}

void nvl_library_path_read(const struct nvl_effective *effective, const struct nvl_root *rootfs,
                           const char *home, struct nvl_library_path *path)
{
    const struct nvl_setting *setting = nvl_library_path_setting(effective);
    const char *value = setting != NULL ? setting->value + strlen(VARIABLE "=") : NULL;

    *path = (struct nvl_library_path){0};
    path->has_linker = rootfs != NULL && nvl_root_exists(rootfs, "/etc/ld.so.conf") &&
                       nvl_root_exists(rootfs, "/etc/ld.so.conf.d");
    if (value == NULL || value[0] == '\0')
        return;
    path->value = nvl_xstrdup(value);
    path->state = NVL_LIBRARY_PATH_OTHERS;
    walk_folders(path, rootfs, home);
}

bool nvl_library_path_is_well(const struct nvl_library_path *path)
{
    return path->shadowed == NULL && (path->state == NVL_LIBRARY_PATH_FINDS || path->has_linker);
}

void nvl_library_path_clear(struct nvl_library_path *path)
{
    free(path->value);
    free(path->shadowed);
    *path = (struct nvl_library_path){0};
}
