/* Removes nvlxc's files from a container's root file system, and lists them. What lies on a mount below the
 * root stays: it may be another container's. */
#include "inject/files.h"

#include <errno.h>
#include <fcntl.h>

#include "base/paths.h"
#include "base/root.h"
#include "inject/home.h"
#include "inject/linker.h"
#include "inject/places.h"

/* What to remove. An earlier version left no note in an image without a configuration of the linker: there
 * the mount point stands for one. */
static void read_conf(const struct nvl_root *rootfs, const struct nvl_places *places,
                      struct nvl_linker_conf *conf)
{
    nvl_linker_conf_read(rootfs, conf);
    nvl_linker_conf_keep_known(conf, &places->folders);
    if (!nvl_linker_conf_can_be_written(rootfs, conf) && conf->folders.count == 0)
        nvl_strv_push(&conf->folders, NVL_MOUNT_POINT);
}

/* Whether nvlxc made what is at the place, so that it would go. */
static bool is_made_by_us(const struct nvl_root *rootfs, const struct nvl_place *place,
                          const struct nvl_strv *made)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct stat st;

    switch (place->entry->kind) {
    case NVL_ENTRY_LINK:
        return nvl_link_is_ours(rootfs, place->path);
    case NVL_ENTRY_LINKER:
        return nvl_root_stat(rootfs, place->path, AT_SYMLINK_NOFOLLOW, &st) == 0 && S_ISREG(st.st_mode);
    case NVL_ENTRY_FOLDER:
        break;
    }
    return nvl_strv_contains(made, place->path) &&
           nvl_root_stat(rootfs, place->path, AT_SYMLINK_NOFOLLOW, &st) == 0 && S_ISDIR(st.st_mode) &&
           nvl_root_list(rootfs, place->path, &names) == 0 &&
           (names.count == 0 || (names.count == 1 && strcmp(names.items[0], NVL_HOME_NOTE) == 0));
}

/* Removes the places of that kind that are nvlxc's; nvl_linker_conf_remove_folders removes folders. */
static void remove_kind(const struct nvl_root *rootfs, const struct nvl_places *places,
                        enum nvl_entry_kind kind, const struct nvl_strv *made, struct nvl_strv *removed,
                        struct nvl_strv *notes)
{
    for (size_t i = 0; i < places->count; i++) {
        const struct nvl_place *place = &places->items[i];
        if (place->entry->kind != kind || !is_made_by_us(rootfs, place, made))
            continue;
        int r = kind == NVL_ENTRY_FOLDER ? 0 : nvl_place_remove(rootfs, place->path);
        nvl_place_complain(notes, "remove", place->path, r);
        if (r == 0 && removed != NULL)
            nvl_strv_push(removed, place->path);
    }
}

/* Whether it is nvlxc's and lies on a mount below the root. */
static bool is_ours_elsewhere(const struct nvl_root *rootfs, const struct nvl_place *place,
                              const struct nvl_linker_conf *conf)
{
    const struct nvl_root own = nvl_root_own(rootfs);
    const char *name;
    nvl_autofd int parent = nvl_root_open_parent(&own, place->path, &name);

    if (parent != -EXDEV)
        return false;
    return place->entry->kind == NVL_ENTRY_FOLDER
               ? nvl_strv_contains(&conf->folders, place->path) && nvl_root_exists(rootfs, place->path)
               : place->entry->kind == NVL_ENTRY_LINK && nvl_link_is_ours(rootfs, place->path);
}

void nvl_entries_elsewhere(const struct nvl_root *rootfs, struct nvl_strv *paths)
{
    nvl_auto(nvl_places_clear) struct nvl_places places = {0};
    nvl_auto(nvl_linker_conf_clear) struct nvl_linker_conf conf = {0};

    nvl_places_make(&places, rootfs);
    nvl_linker_conf_read(rootfs, &conf);
    for (size_t i = 0; i < places.count; i++)
        if (is_ours_elsewhere(rootfs, &places.items[i], &conf))
            nvl_strv_push(paths, places.items[i].path);
}

void nvl_entries_remove(const struct nvl_root *rootfs, struct nvl_strv *removed, struct nvl_strv *notes)
{
    const struct nvl_root own = nvl_root_own(rootfs);
    nvl_auto(nvl_places_clear) struct nvl_places places = {0};
    nvl_auto(nvl_linker_conf_clear) struct nvl_linker_conf conf = {0};

    struct nvl_error err;

    nvl_places_make(&places, &own);
    read_conf(&own, &places, &conf);
    if (nvl_root_trouble(&own, &err) < 0) { /* the notes may be what could not be read */
        if (notes != NULL)
            nvl_strv_push(notes, err.message);
        return;
    }
    remove_kind(&own, &places, NVL_ENTRY_LINK, &conf.folders, removed, notes);
    remove_kind(&own, &places, NVL_ENTRY_FOLDER, &conf.folders, removed, notes);
    nvl_home_note_remove(&own);
    int r = nvl_linker_conf_remove_folders(&own, &conf, NULL);
    nvl_place_complain(notes, "remove", "a folder of nvlxc", r);
    /* last: it notes which folders are nvlxc's, and for whoever tries again what could not be seen */
    if (r == 0 && nvl_root_trouble(&own, NULL) == 0)
        remove_kind(&own, &places, NVL_ENTRY_LINKER, &conf.folders, removed, notes);
}

void nvl_entries_list(const struct nvl_root *rootfs, struct nvl_strv *paths)
{
    const struct nvl_root own = nvl_root_own(rootfs);
    nvl_auto(nvl_places_clear) struct nvl_places places = {0};
    nvl_auto(nvl_linker_conf_clear) struct nvl_linker_conf conf = {0};

    nvl_places_make(&places, &own);
    read_conf(&own, &places, &conf);
    for (size_t i = 0; i < places.count; i++)
        if (is_made_by_us(&own, &places.items[i], &conf.folders))
            nvl_strv_push(paths, places.items[i].path);
}

/* Where nothing is known of the root file system: its first home, and the folder that PATH has first. */
static bool is_usual(const struct nvl_place *place)
{
    return place->is_used &&
           (place->entry->kind != NVL_ENTRY_FOLDER || strcmp(place->path, nvl_homes[0]) == 0);
}

void nvl_entries_all(unsigned capabilities, struct nvl_strv *paths)
{
    nvl_auto(nvl_places_clear) struct nvl_places places = {0};

    nvl_places_make(&places, NULL);
    for (size_t i = 0; i < places.count; i++)
        if (is_usual(&places.items[i]) && nvl_entry_is_granted(places.items[i].entry, capabilities))
            nvl_strv_push(paths, places.items[i].path);
}

void nvl_entries_links(unsigned capabilities, const struct nvl_root *bundle, struct nvl_strv *paths,
                       struct nvl_strv *files)
{
    nvl_auto(nvl_places_clear) struct nvl_places places = {0};

    nvl_places_make(&places, NULL);
    for (size_t i = 0; i < places.count; i++) {
        const struct nvl_entry *entry = places.items[i].entry;
        if (entry->kind != NVL_ENTRY_LINK || !nvl_entry_is_granted(entry, capabilities) ||
            (entry->base == NVL_BASE_BIN && !places.items[i].is_used) ||
            !nvl_root_exists(bundle, entry->target))
            continue;
        nvl_strv_push(paths, places.items[i].path);
        nvl_strv_push(files, entry->target);
    }
}
