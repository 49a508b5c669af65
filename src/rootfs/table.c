/* The table of nvlxc's files in a container. Programs look for these at fixed places outside of the bundle,
 * each by the rule of its own loader: OpenCL's and Vulkan's read folders of ICD files, glvnd one of vendor
 * files, GBM and VDPAU open a library in a folder of their own beside the container's libraries, OptiX reads
 * its data from /usr/share. What the ICD files name, the linker finds in the bundle. */
#include "rootfs/table.h"

#include <fcntl.h>

#include "base/paths.h"
#include "grant/grant.h"

#define DRAWS (NVL_CAP_GRAPHICS | NVL_CAP_DISPLAY)

static const struct nvl_entry entries[] = {
    {NVL_ENTRY_FOLDER, NVL_BASE_ROOT, NVL_MOUNT_POINT, NULL, 0, 2},
    {NVL_ENTRY_LINKER, NVL_BASE_ROOT, NVL_LINKER_CONF, NULL, 0, 0},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/usr/local/bin/nvidia-smi", "/bin/nvidia-smi", NVL_CAP_UTILITY, 0},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/etc/OpenCL/vendors/nvidia.icd", "/etc/OpenCL/vendors/nvidia.icd",
     NVL_CAP_COMPUTE, 2},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/usr/share/vulkan/icd.d/nvidia_icd.json",
     "/share/vulkan/icd.d/nvidia_icd.json", DRAWS, 2},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/usr/share/vulkan/implicit_layer.d/nvidia_layers.json",
     "/share/vulkan/implicit_layer.d/nvidia_layers.json", DRAWS, 2},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/usr/share/glvnd/egl_vendor.d/10_nvidia.json",
     "/share/glvnd/egl_vendor.d/10_nvidia.json", DRAWS, 2},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/usr/share/nvidia/nvoptix.bin", "/share/nvidia/nvoptix.bin", DRAWS, 1},
    {NVL_ENTRY_LINK, NVL_BASE_LIB64, "/gbm/nvidia-drm_gbm.so", "/lib64/gbm/nvidia-drm_gbm.so", DRAWS, 1},
    {NVL_ENTRY_LINK, NVL_BASE_LIB32, "/gbm/nvidia-drm_gbm.so", "/lib32/gbm/nvidia-drm_gbm.so", DRAWS, 1},
    {NVL_ENTRY_LINK, NVL_BASE_LIB64, "/vdpau/libvdpau_nvidia.so.1", "/lib64/vdpau/libvdpau_nvidia.so.1",
     NVL_CAP_VIDEO, 1},
    {NVL_ENTRY_LINK, NVL_BASE_LIB32, "/vdpau/libvdpau_nvidia.so.1", "/lib32/vdpau/libvdpau_nvidia.so.1",
     NVL_CAP_VIDEO, 1},
};

/* Of several that are there, the first is the one that the container's loaders use: Debian's and its
 * relatives' first, which have an almost empty /usr/lib64 too; Fedora's; Arch's, whose /usr/lib64 is a link.
 */
static const char *const roots[] = {"", NULL};
#ifdef __aarch64__
static const char *const lib64[] = {"/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", NULL};
static const char *const lib32[] = {"/usr/lib/arm-linux-gnueabihf", NULL};
#else
static const char *const lib64[] = {"/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", NULL};
static const char *const lib32[] = {"/usr/lib/i386-linux-gnu", "/usr/lib32", NULL};
#endif
static const char *const *const bases[] = {
    [NVL_BASE_ROOT] = roots, [NVL_BASE_LIB64] = lib64, [NVL_BASE_LIB32] = lib32};

/* A link to another base would give one file two paths. */
static bool is_real_folder(const struct nvl_root *rootfs, const char *base)
{
    struct stat st;

    return base[0] == '\0' ||
           (nvl_root_stat(rootfs, base, AT_SYMLINK_NOFOLLOW, &st) == 0 && S_ISDIR(st.st_mode));
}

void nvl_place_folders(const struct nvl_place *place, struct nvl_strv *folders)
{
    const char *path = place->path, *end[8];
    size_t n = 0, wanted = place->entry->n_folders;

    for (const char *p = path + 1; *p != '\0' && n < NVL_LENGTH(end); p++)
        if (*p == '/')
            end[n++] = p;
    for (size_t i = n - (wanted < n ? wanted : n); i < n; i++) {
        nvl_autofree char *folder = nvl_xstrndup(path, (size_t)(end[i] - path));
        nvl_strv_push(folders, folder);
    }
    if (place->entry->kind == NVL_ENTRY_FOLDER)
        nvl_strv_push(folders, path);
}

static void add_place(struct nvl_places *places, const struct nvl_entry *entry, const char *base,
                      bool is_used)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv folders = {0};
    struct nvl_place *place = NVL_APPEND(places->items, places->count);

    *place = (struct nvl_place){entry, nvl_xasprintf("%s%s", base, entry->path), is_used};
    nvl_place_folders(place, &folders);
    for (size_t i = 0; i < folders.count; i++)
        if (!nvl_strv_contains(&places->folders, folders.items[i]))
            nvl_strv_push(&places->folders, folders.items[i]);
}

void nvl_places_make(struct nvl_places *places, const struct nvl_root *rootfs)
{
    *places = (struct nvl_places){0};
    for (size_t i = 0; i < NVL_LENGTH(entries); i++) {
        bool is_used = true;
        for (const char *const *base = bases[entries[i].base]; *base != NULL; base++) {
            if (rootfs != NULL && !is_real_folder(rootfs, *base))
                continue;
            add_place(places, &entries[i], *base, is_used);
            is_used = false;
        }
    }
}

void nvl_places_clear(struct nvl_places *places)
{
    for (size_t i = 0; i < places->count; i++)
        free(places->items[i].path);
    free(places->items);
    nvl_strv_clear(&places->folders);
    *places = (struct nvl_places){0};
}
