/* Where nvlxc's files are in a container's root file system. Programs look for them at fixed places outside
 * of the bundle, each by the rule of its own loader: OpenCL's and Vulkan's read folders of ICD files, glvnd
 * one of vendor files, GBM and VDPAU open a library in a folder of their own beside the container's
 * libraries, OptiX reads its data from /usr/share, and a program with a loader of its own (Plex's transcoder
 * has musl's) knows a few fixed folders. The linker finds in the bundle what the ICD files name. */
#include "inject/places.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/machine.h"
#include "base/paths.h"
#include "base/root.h"
#include "grant/grant.h"
#include "inject/home.h"
#include "inject/linker.h"

#define DRAWS (NVL_CAP_GRAPHICS | NVL_CAP_DISPLAY)

/* EGL looks there for its ways to a display server. */
#define EGL_PLATFORM(name)                                                                                   \
    {                                                                                                        \
        NVL_ENTRY_LINK, NVL_BASE_ROOT, "/usr/share/egl/egl_external_platform.d/" name,                       \
            "/share/egl/egl_external_platform.d/" name, DRAWS, 2                                             \
    }

static const struct nvl_entry entries[] = {
    {NVL_ENTRY_FOLDER, NVL_BASE_ROOT, NVL_MOUNT_POINT, NULL, 0, 2},
    {NVL_ENTRY_FOLDER, NVL_BASE_ROOT, NVL_OTHER_MOUNT_POINT, NULL, 0, 2},
    {NVL_ENTRY_LINKER, NVL_BASE_ROOT, NVL_LINKER_CONF, NULL, 0, 0},
    {NVL_ENTRY_LINK, NVL_BASE_BIN, "/nvidia-smi", "/bin/nvidia-smi", NVL_CAP_UTILITY, 0},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/usr/local/lib/libcuda.so.1", "/lib64/libcuda.so.1", NVL_CAP_VIDEO, 1},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/usr/local/lib/libnvcuvid.so.1", "/lib64/libnvcuvid.so.1", NVL_CAP_VIDEO,
     1},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/usr/local/lib/libnvidia-encode.so.1", "/lib64/libnvidia-encode.so.1",
     NVL_CAP_VIDEO, 1},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/etc/OpenCL/vendors/nvidia.icd", "/etc/OpenCL/vendors/nvidia.icd",
     NVL_CAP_COMPUTE, 2},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/usr/share/vulkan/icd.d/nvidia_icd.json",
     "/share/vulkan/icd.d/nvidia_icd.json", DRAWS, 2},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/usr/share/vulkan/implicit_layer.d/nvidia_layers.json",
     "/share/vulkan/implicit_layer.d/nvidia_layers.json", DRAWS, 2},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/usr/share/glvnd/egl_vendor.d/10_nvidia.json",
     "/share/glvnd/egl_vendor.d/10_nvidia.json", DRAWS, 2},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/usr/share/nvidia/nvoptix.bin", "/share/nvidia/nvoptix.bin", DRAWS, 1},
    {NVL_ENTRY_LINK, NVL_BASE_ROOT, "/usr/share/nvidia/nvidia-application-profiles-rc",
     "/share/nvidia/nvidia-application-profiles-rc", DRAWS, 1},
    EGL_PLATFORM("09_nvidia_wayland2.json"),
    EGL_PLATFORM("10_nvidia_wayland.json"),
    EGL_PLATFORM("15_nvidia_gbm.json"),
    EGL_PLATFORM("20_nvidia_xcb.json"),
    EGL_PLATFORM("20_nvidia_xlib.json"),
    {NVL_ENTRY_LINK, NVL_BASE_LIB64, "/gbm/nvidia-drm_gbm.so", "/lib64/gbm/nvidia-drm_gbm.so", DRAWS, 1},
    {NVL_ENTRY_LINK, NVL_BASE_LIB32, "/gbm/nvidia-drm_gbm.so", "/lib32/gbm/nvidia-drm_gbm.so", DRAWS, 1},
    {NVL_ENTRY_LINK, NVL_BASE_LIB64, "/vdpau/libvdpau_nvidia.so.1", "/lib64/vdpau/libvdpau_nvidia.so.1",
     NVL_CAP_VIDEO, 1},
    {NVL_ENTRY_LINK, NVL_BASE_LIB32, "/vdpau/libvdpau_nvidia.so.1", "/lib32/vdpau/libvdpau_nvidia.so.1",
     NVL_CAP_VIDEO, 1},
    {NVL_ENTRY_LINK, NVL_BASE_XORG, "/drivers/nvidia_drv.so", "/lib64/xorg/modules/drivers/nvidia_drv.so",
     NVL_CAP_DISPLAY, 1},
    {NVL_ENTRY_LINK, NVL_BASE_XORG, "/extensions/libglxserver_nvidia.so",
     "/lib64/xorg/modules/extensions/libglxserver_nvidia.so", NVL_CAP_DISPLAY, 1},
};

/* If several exist, the container's loaders use the first: that of Debian and its relatives, which have an
 * almost empty /usr/lib64 too; then Fedora's; then Arch's, whose /usr/lib64 is a link. */
#define BASES_MAX 3
#define MULTIARCH "multiarch"
static const char *const bases[][BASES_MAX] = {
    [NVL_BASE_ROOT] = {""},
    [NVL_BASE_BIN] = {"/usr/local/bin", "/usr/bin"},
    [NVL_BASE_XORG] = {"/usr/lib/xorg/modules", "/usr/lib64/xorg/modules"},
    [NVL_BASE_LIB64] = {MULTIARCH, "/usr/lib64", "/usr/lib"},
    [NVL_BASE_LIB32] = {MULTIARCH, "/usr/lib32"},
};

/* NULL behind the last. */
static const char *base_of(enum nvl_entry_base kind, size_t i)
{
    const char *base = i < BASES_MAX ? bases[kind][i] : NULL;

    if (base == NULL || strcmp(base, MULTIARCH) != 0)
        return base;
    return kind == NVL_BASE_LIB32 ? nvl_machine()->libraries_32 : nvl_machine()->libraries;
}

bool nvl_entry_is_granted(const struct nvl_entry *e, unsigned capabilities)
{
    if (e->base == NVL_BASE_LIB32 && (capabilities & NVL_CAP_COMPAT32) == 0)
        return false;
    return e->capabilities == 0 || (e->capabilities & capabilities) != 0;
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

    *place = (struct nvl_place){
        .entry = entry, .path = nvl_xasprintf("%s%s", base, entry->path), .is_used = is_used};
    nvl_place_folders(place, &folders);
    for (size_t i = 0; i < folders.count; i++)
        nvl_strv_push_once(&places->folders, folders.items[i]);
}

/* Whether one of the paths is the entry's, below any base. */
static bool is_place_named(const struct nvl_entry *entry, const struct nvl_strv *paths)
{
    for (size_t i = 0; i < paths->count; i++)
        if (nvl_has_suffix(paths->items[i], entry->path))
            return true;
    return false;
}

/* Whether each base exists; checked once, for the first entry that needs it. */
struct base_states {
    const struct nvl_root *rootfs; /* NULL: all do */
    enum base_state { NOT_LOOKED, THERE, ON_MOUNT, ABSENT } state[NVL_LENGTH(bases)][BASES_MAX];
};

/* A base behind the first that leads to another one, by a link anywhere in it (Arch's /usr/lib64), would give
 * one file two paths. */
static bool leads_elsewhere(const struct nvl_root *rootfs, const char *base)
{
    nvl_autofree char *real = NULL;

    return nvl_root_resolve(rootfs, base, &real) == 0 && strcmp(real, base) != 0;
}

static enum base_state look_for_base(const struct nvl_root *rootfs, const char *base, bool is_first)
{
    if (base[0] == '\0')
        return THERE;
    nvl_autofd int fd = nvl_root_openat(rootfs, base, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (fd >= 0)
        return !is_first && leads_elsewhere(rootfs, base) ? ABSENT : THERE;
    return fd == -EXDEV ? ON_MOUNT : ABSENT;
}

static enum base_state base_state(struct base_states *b, enum nvl_entry_base kind, size_t i)
{
    enum base_state *state = &b->state[kind][i];

    if (b->rootfs == NULL)
        return THERE;
    if (*state == NOT_LOOKED)
        *state = look_for_base(b->rootfs, base_of(kind, i), i == 0);
    return *state;
}

/* Whether the entry's path below that base is worth a look: a start that has notes looks behind the first
 * only where they say so. */
static bool is_place_asked_for(const struct nvl_entry *entry, const char *base, const struct nvl_strv *noted)
{
    nvl_autofree char *path = nvl_xasprintf("%s%s", base, entry->path);

    return noted == NULL || nvl_strv_contains(noted, path);
}

/* The first base of that state is the one in use. */
static bool add_places_in(struct nvl_places *places, const struct nvl_entry *entry, struct base_states *b,
                          enum base_state state, const struct nvl_strv *noted)
{
    bool is_used = true;
    const char *base;

    for (size_t i = 0; (base = base_of(entry->base, i)) != NULL; i++)
        if ((is_used || is_place_asked_for(entry, base, noted)) && base_state(b, entry->base, i) == state) {
            add_place(places, entry, base, is_used);
            is_used = false;
        }
    return !is_used;
}

static void add_places(struct nvl_places *places, const struct nvl_entry *entry, struct base_states *b,
                       const struct nvl_strv *noted)
{
    if (!add_places_in(places, entry, b, THERE, noted))
        add_places_in(places, entry, b, ON_MOUNT, noted); /* to say what is left out */
}

void nvl_places_make(struct nvl_places *places, const struct nvl_root *rootfs)
{
    struct base_states b = {.rootfs = rootfs};

    *places = (struct nvl_places){0};
    for (size_t i = 0; i < NVL_LENGTH(entries); i++)
        add_places(places, &entries[i], &b, NULL);
}

void nvl_places_make_some(struct nvl_places *places, const struct nvl_root *rootfs, unsigned capabilities,
                          const struct nvl_strv *paths)
{
    struct base_states b = {.rootfs = rootfs};

    *places = (struct nvl_places){0};
    for (size_t i = 0; i < NVL_LENGTH(entries); i++)
        if (nvl_entry_is_granted(&entries[i], capabilities) || is_place_named(&entries[i], paths))
            add_places(places, &entries[i], &b, paths);
}

void nvl_places_clear(struct nvl_places *places)
{
    for (size_t i = 0; i < places->count; i++)
        free(places->items[i].path);
    free(places->items);
    nvl_strv_clear(&places->folders);
    *places = (struct nvl_places){0};
}

bool nvl_link_is_ours(const struct nvl_root *rootfs, const char *path)
{
    nvl_autofree char *target = NULL;

    return nvl_root_readlink(rootfs, path, &target) == 0 && nvl_path_below_home(target) != NULL;
}

int nvl_place_remove(const struct nvl_root *rootfs, const char *path)
{
    const char *name;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, path, &name);

    if (parent < 0)
        return parent;
    return unlinkat(parent, name, 0) < 0 ? -errno : 0;
}

void nvl_place_complain(struct nvl_strv *notes, const char *what, const char *path, int r)
{
    if (r < 0 && notes != NULL)
        nvl_strv_pushf(notes, "cannot %s %s in the container: %s", what, path, strerror(-r));
}
