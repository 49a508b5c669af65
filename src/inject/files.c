/* nvlxc's files in a container's root file system: lists, writes and removes them. Programs look for these at
 * fixed places outside of the bundle, each by the rule of its own loader: OpenCL's and Vulkan's read folders
 * of ICD files, glvnd one of vendor files, GBM and VDPAU open a library in a folder of their own beside the
 * container's libraries, OptiX reads its data from /usr/share. The linker finds in the bundle what the ICD
 * files name. */
#include "inject/files.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/root.h"
#include "grant/grant.h"
#include "inject/linker.h"

enum entry_kind {
    ENTRY_FOLDER, /* the mount point, with missing folders above it */
    ENTRY_LINKER, /* the folders that the linker searches */
    ENTRY_LINK,   /* to a file of the bundle */
};

/* The start of an entry's path. */
enum entry_base {
    BASE_ROOT,  /* nothing: the path is complete */
    BASE_LIB64, /* the folder of the container's own libraries, which distributions name in three ways */
    BASE_LIB32,
};

struct entry {
    enum entry_kind kind;
    enum entry_base base;
    const char *path;
    const char *target;    /* LINK: below the bundle */
    unsigned capabilities; /* wanted with any of these; 0: always */
    unsigned n_folders;    /* this many folders above it are made if missing */
};

/* An entry at one of its possible paths. */
struct place {
    const struct entry *entry;
    char *path;
    bool is_used;   /* this root file system uses this path */
    bool is_wanted; /* by the grant at hand */
};

struct places {
    struct place *items;
    size_t count;
    struct nvl_strv folders; /* those that may be made for any of them, outer ones first, each once */
};

#define DRAWS (NVL_CAP_GRAPHICS | NVL_CAP_DISPLAY)

static const struct entry entries[] = {
    {ENTRY_FOLDER, BASE_ROOT, NVL_MOUNT_POINT, NULL, 0, 2},
    {ENTRY_LINKER, BASE_ROOT, NVL_LINKER_CONF, NULL, 0, 0},
    {ENTRY_LINK, BASE_ROOT, "/usr/local/bin/nvidia-smi", "/bin/nvidia-smi", NVL_CAP_UTILITY, 0},
    {ENTRY_LINK, BASE_ROOT, "/etc/OpenCL/vendors/nvidia.icd", "/etc/OpenCL/vendors/nvidia.icd",
     NVL_CAP_COMPUTE, 2},
    {ENTRY_LINK, BASE_ROOT, "/usr/share/vulkan/icd.d/nvidia_icd.json", "/share/vulkan/icd.d/nvidia_icd.json",
     DRAWS, 2},
    {ENTRY_LINK, BASE_ROOT, "/usr/share/vulkan/implicit_layer.d/nvidia_layers.json",
     "/share/vulkan/implicit_layer.d/nvidia_layers.json", DRAWS, 2},
    {ENTRY_LINK, BASE_ROOT, "/usr/share/glvnd/egl_vendor.d/10_nvidia.json",
     "/share/glvnd/egl_vendor.d/10_nvidia.json", DRAWS, 2},
    {ENTRY_LINK, BASE_ROOT, "/usr/share/nvidia/nvoptix.bin", "/share/nvidia/nvoptix.bin", DRAWS, 1},
    {ENTRY_LINK, BASE_LIB64, "/gbm/nvidia-drm_gbm.so", "/lib64/gbm/nvidia-drm_gbm.so", DRAWS, 1},
    {ENTRY_LINK, BASE_LIB32, "/gbm/nvidia-drm_gbm.so", "/lib32/gbm/nvidia-drm_gbm.so", DRAWS, 1},
    {ENTRY_LINK, BASE_LIB64, "/vdpau/libvdpau_nvidia.so.1", "/lib64/vdpau/libvdpau_nvidia.so.1",
     NVL_CAP_VIDEO, 1},
    {ENTRY_LINK, BASE_LIB32, "/vdpau/libvdpau_nvidia.so.1", "/lib32/vdpau/libvdpau_nvidia.so.1",
     NVL_CAP_VIDEO, 1},
};

/* If several exist, the container's loaders use the first: that of Debian and its relatives, which have an
 * almost empty /usr/lib64 too; then Fedora's; then Arch's, whose /usr/lib64 is a link. */
#define BASES_MAX 3
static const char *const bases[][BASES_MAX] = {
    [BASE_ROOT] = {""},
#ifdef __aarch64__
    [BASE_LIB64] = {"/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"},
    [BASE_LIB32] = {"/usr/lib/arm-linux-gnueabihf"},
#else
    [BASE_LIB64] = {"/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"},
    [BASE_LIB32] = {"/usr/lib/i386-linux-gnu", "/usr/lib32"},
#endif
};

/* A link to another base would give one file two paths. */
static bool is_real_folder(const struct nvl_root *rootfs, const char *base)
{
    if (base[0] == '\0')
        return true;
    nvl_autofd int fd = nvl_root_openat(rootfs, base, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    return fd >= 0;
}

static bool is_entry_granted(const struct entry *e, unsigned capabilities)
{
    if (e->base == BASE_LIB32 && (capabilities & NVL_CAP_COMPAT32) == 0)
        return false;
    return e->capabilities == 0 || (e->capabilities & capabilities) != 0;
}

/* The folders that may be made for it, outer ones first; a FOLDER includes itself. */
static void list_place_folders(const struct place *place, struct nvl_strv *folders)
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
    if (place->entry->kind == ENTRY_FOLDER)
        nvl_strv_push(folders, path);
}

static void add_place(struct places *places, const struct entry *entry, const char *base, bool is_used)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv folders = {0};
    struct place *place = NVL_APPEND(places->items, places->count);

    *place =
        (struct place){.entry = entry, .path = nvl_xasprintf("%s%s", base, entry->path), .is_used = is_used};
    list_place_folders(place, &folders);
    for (size_t i = 0; i < folders.count; i++)
        if (!nvl_strv_contains(&places->folders, folders.items[i]))
            nvl_strv_push(&places->folders, folders.items[i]);
}

/* Whether one of the paths is the entry's, below any base. */
static bool is_place_named(const struct entry *entry, const struct nvl_strv *paths)
{
    for (size_t i = 0; i < paths->count; i++)
        if (nvl_has_suffix(paths->items[i], entry->path))
            return true;
    return false;
}

/* Whether each base exists; checked once, for the first entry that needs it. */
struct base_states {
    const struct nvl_root *rootfs; /* NULL: all do */
    enum { NOT_LOOKED, THERE, ABSENT } state[NVL_LENGTH(bases)][BASES_MAX];
};

static bool is_base_there(struct base_states *b, enum entry_base kind, size_t i)
{
    if (b->rootfs == NULL)
        return true;
    if (b->state[kind][i] == NOT_LOOKED)
        b->state[kind][i] = is_real_folder(b->rootfs, bases[kind][i]) ? THERE : ABSENT;
    return b->state[kind][i] == THERE;
}

static void add_places(struct places *places, const struct entry *entry, struct base_states *b)
{
    bool is_used = true;

    for (size_t i = 0; i < BASES_MAX && bases[entry->base][i] != NULL; i++) {
        if (!is_base_there(b, entry->base, i))
            continue;
        add_place(places, entry, bases[entry->base][i], is_used);
        is_used = false;
    }
}

/* With a root file system: the paths that can exist. With NULL: all, with the first of each as used. */
static void make_places(struct places *places, const struct nvl_root *rootfs)
{
    struct base_states b = {.rootfs = rootfs};

    *places = (struct places){0};
    for (size_t i = 0; i < NVL_LENGTH(entries); i++)
        add_places(places, &entries[i], &b);
}

/* The places in a root file system that these capabilities need, or that have one of these paths. A start
 * looks at no others. */
static void make_some_places(struct places *places, const struct nvl_root *rootfs, unsigned capabilities,
                             const struct nvl_strv *paths)
{
    struct base_states b = {.rootfs = rootfs};

    *places = (struct places){0};
    for (size_t i = 0; i < NVL_LENGTH(entries); i++)
        if (is_entry_granted(&entries[i], capabilities) || is_place_named(&entries[i], paths))
            add_places(places, &entries[i], &b);
}

static void places_clear(struct places *places)
{
    for (size_t i = 0; i < places->count; i++)
        free(places->items[i].path);
    free(places->items);
    nvl_strv_clear(&places->folders);
    *places = (struct places){0};
}

/* Whether the link is nvlxc's: it leads into the bundle. */
static bool is_our_link(const struct nvl_root *rootfs, const char *path)
{
    nvl_autofree char *target = NULL;

    return nvl_root_readlink(rootfs, path, &target) == 0 && nvl_has_prefix(target, NVL_MOUNT_POINT "/");
}

static int remove_file_at(const struct nvl_root *rootfs, const char *path)
{
    const char *name;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, path, &name);

    if (parent < 0)
        return parent;
    return unlinkat(parent, name, 0) < 0 ? -errno : 0;
}

static int open_mount_point(const struct nvl_root *rootfs)
{
    return nvl_root_openat(rootfs, NVL_MOUNT_POINT, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

/* Whether the link exists and is correct: then there is no need to look at the folders above it. */
static bool is_link_as_wanted(const struct nvl_root *rootfs, const struct place *place)
{
    nvl_autofree char *now = NULL;

    return nvl_root_readlink(rootfs, place->path, &now) == 0 && nvl_has_prefix(now, NVL_MOUNT_POINT) &&
           strcmp(now + strlen(NVL_MOUNT_POINT), place->entry->target) == 0;
}

/* Whether the folder above `path` exists, or will exist. */
static bool has_parent(const struct nvl_root *rootfs, const char *path, const struct nvl_strv *made)
{
    nvl_autofree char *above = nvl_xstrndup(path, (size_t)(strrchr(path, '/') - path));

    return nvl_strv_contains(made, above) || nvl_root_exists(rootfs, above);
}

/* Adds the missing folders of the place. The container itself must have the deeper ones: an image without
 * them has no use for the entry. The mount point is made in any case. */
static void add_missing_folders(const struct nvl_root *rootfs, const struct place *place,
                                struct nvl_strv *made)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv folders = {0};

    list_place_folders(place, &folders);
    for (size_t i = 0; i < folders.count; i++)
        if (!nvl_strv_contains(made, folders.items[i]) && !nvl_root_exists(rootfs, folders.items[i]) &&
            has_parent(rootfs, folders.items[i], made))
            nvl_strv_push(made, folders.items[i]);
}

static int make_link(const struct nvl_root *rootfs, const struct place *place, const struct nvl_strv *made)
{
    nvl_autofree char *target = nvl_xasprintf("%s%s", NVL_MOUNT_POINT, place->entry->target);
    nvl_auto(nvl_strv_clear) struct nvl_strv folders = {0};
    const char *name;

    list_place_folders(place, &folders);
    for (size_t i = 0; i < folders.count; i++) {
        int r =
            nvl_strv_contains(made, folders.items[i]) ? nvl_root_make_folder(rootfs, folders.items[i]) : 0;
        if (r < 0)
            return r;
    }
    nvl_autofd int parent = nvl_root_open_parent(rootfs, place->path, &name);
    if (parent < 0)
        return parent == -ENOENT ? 0 : parent;
    if (is_our_link(rootfs, place->path))
        unlinkat(parent, name, 0);
    /* anything else there is the container's own and stays */
    return symlinkat(target, parent, name) < 0 && errno != EEXIST ? -errno : 0;
}

static void say_problem(struct nvl_strv *notes, const char *what, const char *path, int r)
{
    if (r < 0 && notes != NULL)
        nvl_strv_pushf(notes, "cannot %s %s in the container: %s", what, path, strerror(-r));
}

/* An earlier start that noted nothing may have left anything. */
static void find_wanted_places(const struct nvl_root *rootfs, const struct nvl_entries_wanted *wanted,
                               struct nvl_linker_conf *conf, struct places *places)
{
    nvl_linker_conf_read(rootfs, conf);
    if (conf->text != NULL)
        make_some_places(places, rootfs, wanted->capabilities, &conf->links);
    else
        make_places(places, rootfs);
    nvl_linker_conf_keep_known(conf, &places->folders);
    for (size_t i = 0; i < places->count; i++) {
        struct place *place = &places->items[i];
        const struct entry *e = place->entry;
        place->is_wanted = place->is_used && is_entry_granted(e, wanted->capabilities) &&
                           (e->kind != ENTRY_LINK || nvl_root_exists(wanted->bundle, e->target));
    }
}

/* Whether an earlier start has made the link, as far as the notes say. */
static bool is_noted(const struct nvl_linker_conf *conf, const struct place *place)
{
    return place->entry->kind == ENTRY_LINK &&
           (conf->text == NULL || nvl_strv_contains(&conf->links, place->path));
}

/* Removes links that the grant or the bundle no longer has, and the folders that were made for them; `made`
 * then has only folders that wanted entries use. */
static void remove_surplus(const struct nvl_root *rootfs, const struct places *places,
                           struct nvl_linker_conf *conf, struct nvl_strv *notes)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv needed = {0};

    for (size_t i = 0; i < places->count; i++) {
        const struct place *place = &places->items[i];
        if (place->is_wanted)
            list_place_folders(place, &needed);
        else if (is_noted(conf, place) && is_our_link(rootfs, place->path))
            say_problem(notes, "remove", place->path, remove_file_at(rootfs, place->path));
    }
    say_problem(notes, "remove", "a folder of an earlier grant",
                nvl_linker_conf_remove_folders(rootfs, conf, &needed));
}

/* Notes what is wanted and what has to be made for it, before making it. */
static void note_what_is_made(const struct nvl_root *rootfs, const struct nvl_entries_wanted *wanted,
                              const struct places *places, const struct nvl_strv *lacking,
                              struct nvl_linker_conf *conf, struct nvl_strv *notes)
{
    nvl_strv_clear(&conf->links);
    if (!nvl_linker_conf_can_be_written(rootfs, conf))
        return;
    for (size_t i = 0; i < places->count; i++) {
        const struct place *place = &places->items[i];
        if (place->is_wanted && place->entry->kind == ENTRY_LINK)
            nvl_strv_push(&conf->links, place->path);
        if (nvl_strv_contains(lacking, place->path))
            add_missing_folders(rootfs, place, &conf->folders);
    }
    int r = nvl_linker_conf_write(rootfs, conf, (wanted->capabilities & NVL_CAP_COMPAT32) != 0);
    say_problem(notes, "make", NVL_LINKER_CONF, r);
    if (r < 0)
        nvl_strv_clear(&conf->folders); /* not noted: not made */
}

int nvl_entries_write(const struct nvl_root *rootfs, const struct nvl_entries_wanted *wanted,
                      struct nvl_strv *notes)
{
    nvl_auto(places_clear) struct places places = {0};
    nvl_auto(nvl_linker_conf_clear) struct nvl_linker_conf conf = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv lacking = {0};
    nvl_autofd int mount_point = open_mount_point(rootfs);

    find_wanted_places(rootfs, wanted, &conf, &places);
    remove_surplus(rootfs, &places, &conf, notes);
    if (mount_point < 0)
        nvl_strv_push(&lacking, NVL_MOUNT_POINT);
    for (size_t i = 0; i < places.count; i++)
        if (places.items[i].is_wanted && places.items[i].entry->kind == ENTRY_LINK &&
            !is_link_as_wanted(rootfs, &places.items[i]))
            nvl_strv_push(&lacking, places.items[i].path);
    note_what_is_made(rootfs, wanted, &places, &lacking, &conf, notes);
    for (size_t i = 0; i < places.count; i++) {
        const struct place *place = &places.items[i];
        if (!nvl_strv_contains(&lacking, place->path))
            continue;
        int r = place->entry->kind == ENTRY_FOLDER ? nvl_root_make_folder(rootfs, place->path)
                                                   : make_link(rootfs, place, &conf.folders);
        say_problem(notes, "make", place->path, r);
    }
    return mount_point >= 0 ? TAKE_FD(mount_point) : open_mount_point(rootfs);
}

/* What to remove. In an image that can hold no notes, the mount point stands in for the conf file. */
static void read_conf(const struct nvl_root *rootfs, const struct places *places,
                      struct nvl_linker_conf *conf)
{
    nvl_linker_conf_read(rootfs, conf);
    nvl_linker_conf_keep_known(conf, &places->folders);
    if (!nvl_linker_conf_can_be_written(rootfs, conf))
        nvl_strv_push(&conf->folders, NVL_MOUNT_POINT);
}

/* Whether nvlxc made what is at the place, so that it would go. */
static bool is_made_by_us(const struct nvl_root *rootfs, const struct place *place,
                          const struct nvl_strv *made)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct stat st;

    switch (place->entry->kind) {
    case ENTRY_LINK:
        return is_our_link(rootfs, place->path);
    case ENTRY_LINKER:
        return nvl_root_stat(rootfs, place->path, AT_SYMLINK_NOFOLLOW, &st) == 0 && S_ISREG(st.st_mode);
    case ENTRY_FOLDER:
        break;
    }
    return nvl_strv_contains(made, place->path) &&
           nvl_root_stat(rootfs, place->path, AT_SYMLINK_NOFOLLOW, &st) == 0 && S_ISDIR(st.st_mode) &&
           nvl_root_list(rootfs, place->path, &names) == 0 && names.count == 0;
}

/* Removes the places of that kind that are nvlxc's; nvl_linker_conf_remove_folders removes folders. */
static void remove_kind(const struct nvl_root *rootfs, const struct places *places, enum entry_kind kind,
                        const struct nvl_strv *made, struct nvl_strv *removed, struct nvl_strv *notes)
{
    for (size_t i = 0; i < places->count; i++) {
        const struct place *place = &places->items[i];
        if (place->entry->kind != kind || !is_made_by_us(rootfs, place, made))
            continue;
        int r = kind == ENTRY_FOLDER ? 0 : remove_file_at(rootfs, place->path);
        say_problem(notes, "remove", place->path, r);
        if (r == 0 && removed != NULL)
            nvl_strv_push(removed, place->path);
    }
}

void nvl_entries_remove(const struct nvl_root *rootfs, struct nvl_strv *removed, struct nvl_strv *notes)
{
    nvl_auto(places_clear) struct places places = {0};
    nvl_auto(nvl_linker_conf_clear) struct nvl_linker_conf conf = {0};

    make_places(&places, rootfs);
    read_conf(rootfs, &places, &conf);
    remove_kind(rootfs, &places, ENTRY_LINK, &conf.folders, removed, notes);
    remove_kind(rootfs, &places, ENTRY_FOLDER, &conf.folders, removed, notes);
    say_problem(notes, "remove", "a folder of nvlxc", nvl_linker_conf_remove_folders(rootfs, &conf, NULL));
    /* last: it notes which folders are nvlxc's */
    remove_kind(rootfs, &places, ENTRY_LINKER, &conf.folders, removed, notes);
}

void nvl_entries_list(const struct nvl_root *rootfs, struct nvl_strv *paths)
{
    nvl_auto(places_clear) struct places places = {0};
    nvl_auto(nvl_linker_conf_clear) struct nvl_linker_conf conf = {0};

    make_places(&places, rootfs);
    read_conf(rootfs, &places, &conf);
    for (size_t i = 0; i < places.count; i++)
        if (is_made_by_us(rootfs, &places.items[i], &conf.folders))
            nvl_strv_push(paths, places.items[i].path);
}

void nvl_entries_all(unsigned capabilities, struct nvl_strv *paths)
{
    nvl_auto(places_clear) struct places places = {0};

    make_places(&places, NULL);
    for (size_t i = 0; i < places.count; i++)
        if (places.items[i].is_used && is_entry_granted(places.items[i].entry, capabilities))
            nvl_strv_push(paths, places.items[i].path);
}

void nvl_entries_links(unsigned capabilities, const struct nvl_root *bundle, struct nvl_strv *paths,
                       struct nvl_strv *files)
{
    nvl_auto(places_clear) struct places places = {0};

    make_places(&places, NULL);
    for (size_t i = 0; i < places.count; i++) {
        const struct entry *entry = places.items[i].entry;
        if (entry->kind != ENTRY_LINK || !is_entry_granted(entry, capabilities) ||
            !nvl_root_exists(bundle, entry->target))
            continue;
        nvl_strv_push(paths, places.items[i].path);
        nvl_strv_push(files, entry->target);
    }
}
