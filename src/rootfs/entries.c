/* Writing and removing nvlxc's files in a container's root file system. */
#include "rootfs/entries.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/paths.h"
#include "grant/grant.h"
#include "rootfs/made.h"

/* Whether the link is one of ours: into the bundle. */
static bool is_our_link(const struct nvl_root *rootfs, const char *path)
{
    nvl_autofree char *target = NULL;

    return nvl_root_readlink(rootfs, path, &target) == 0 && nvl_has_prefix(target, NVL_MOUNT_POINT "/");
}

static int remove_at(const struct nvl_root *rootfs, const char *path)
{
    const char *name;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, path, &name);

    if (parent < 0)
        return parent;
    return unlinkat(parent, name, 0) < 0 ? -errno : 0;
}

static bool is_granted(const struct nvl_entry *e, unsigned capabilities)
{
    if (e->base == NVL_BASE_LIB32 && (capabilities & NVL_CAP_COMPAT32) == 0)
        return false;
    return e->capabilities == 0 || (e->capabilities & capabilities) != 0;
}

static bool is_wanted(const struct nvl_place *place, const struct nvl_entries_wanted *wanted)
{
    const struct nvl_entry *e = place->entry;

    return place->is_used && is_granted(e, wanted->capabilities) &&
           (e->kind != NVL_ENTRY_LINK || nvl_root_exists(wanted->bundle, e->target));
}

/* The folder above `path` is there, or will be. */
static bool has_parent(const struct nvl_root *rootfs, const char *path, const struct nvl_strv *made)
{
    nvl_autofree char *above = nvl_xstrndup(path, (size_t)(strrchr(path, '/') - path));

    return nvl_strv_contains(made, above) || nvl_root_exists(rootfs, above);
}

/* Adds those of the place's folders that are missing. What lies deeper than the table says is left to the
 * container: an image without it has no use for the entry either. The mount point is made in any case. */
static void add_missing_folders(const struct nvl_root *rootfs, const struct nvl_place *place,
                                struct nvl_strv *made)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv folders = {0};

    nvl_place_folders(place, &folders);
    for (size_t i = 0; i < folders.count; i++)
        if (!nvl_strv_contains(made, folders.items[i]) && !nvl_root_exists(rootfs, folders.items[i]) &&
            has_parent(rootfs, folders.items[i], made))
            nvl_strv_push(made, folders.items[i]);
}

static int make_link(const struct nvl_root *rootfs, const struct nvl_place *place,
                     const struct nvl_strv *made)
{
    nvl_autofree char *target = nvl_xasprintf("%s%s", NVL_MOUNT_POINT, place->entry->target), *now = NULL;
    nvl_auto(nvl_strv_clear) struct nvl_strv folders = {0};
    const char *name;

    if (nvl_root_readlink(rootfs, place->path, &now) == 0 && strcmp(now, target) == 0)
        return 0;
    nvl_place_folders(place, &folders);
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
    /* what else stands there is the container's own and stays */
    return symlinkat(target, parent, name) < 0 && errno != EEXIST ? -errno : 0;
}

static void say_problem(struct nvl_strv *notes, const char *what, const char *path, int r)
{
    if (r < 0 && notes != NULL)
        nvl_strv_pushf(notes, "cannot %s %s in the container: %s", what, path, strerror(-r));
}

/* Links that the grant no longer has, or the bundle; the folders that were made for them; then what is there
 * of `made` is what the wanted ones use. */
static void remove_surplus(const struct nvl_root *rootfs, const struct nvl_entries_wanted *wanted,
                           const struct nvl_places *places, struct nvl_strv *made, struct nvl_strv *notes)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv needed = {0};

    for (size_t i = 0; i < places->count; i++) {
        const struct nvl_place *place = &places->items[i];
        if (is_wanted(place, wanted))
            nvl_place_folders(place, &needed);
        else if (place->entry->kind == NVL_ENTRY_LINK && is_our_link(rootfs, place->path))
            say_problem(notes, "remove", place->path, remove_at(rootfs, place->path));
    }
    say_problem(notes, "remove", "a folder of an earlier grant", nvl_made_remove(rootfs, made, &needed));
}

void nvl_entries_write(const struct nvl_root *rootfs, const struct nvl_entries_wanted *wanted,
                       struct nvl_strv *notes)
{
    nvl_auto(nvl_places_clear) struct nvl_places places = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv made = {0};

    nvl_places_make(&places, rootfs);
    nvl_made_read(rootfs, &places, &made);
    remove_surplus(rootfs, wanted, &places, &made, notes);
    if (nvl_made_can_be_kept(rootfs)) {
        for (size_t i = 0; i < places.count; i++)
            if (is_wanted(&places.items[i], wanted))
                add_missing_folders(rootfs, &places.items[i], &made);
        int r = nvl_made_write(rootfs, &made, (wanted->capabilities & NVL_CAP_COMPAT32) != 0);
        say_problem(notes, "make", NVL_LINKER_CONF, r);
        if (r < 0)
            nvl_strv_clear(&made); /* not noted: not made */
    }
    for (size_t i = 0; i < places.count; i++) {
        const struct nvl_place *place = &places.items[i];
        if (!is_wanted(place, wanted) || place->entry->kind == NVL_ENTRY_LINKER)
            continue;
        int r = place->entry->kind == NVL_ENTRY_FOLDER ? nvl_root_make_folder(rootfs, place->path)
                                                       : make_link(rootfs, place, &made);
        say_problem(notes, "make", place->path, r);
    }
}

/* The folders to remove. In an image that can keep no note, the mount point counts as made. */
static void read_made(const struct nvl_root *rootfs, const struct nvl_places *places, struct nvl_strv *made)
{
    if (nvl_made_read(rootfs, places, made) < 0 && !nvl_made_can_be_kept(rootfs))
        nvl_strv_push(made, NVL_MOUNT_POINT);
}

/* Whether what stands at the place was made by nvlxc and would go. */
static bool is_ours(const struct nvl_root *rootfs, const struct nvl_place *place, const struct nvl_strv *made)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct stat st;

    switch (place->entry->kind) {
    case NVL_ENTRY_LINK:
        return is_our_link(rootfs, place->path);
    case NVL_ENTRY_LINKER:
        return nvl_root_stat(rootfs, place->path, AT_SYMLINK_NOFOLLOW, &st) == 0 && S_ISREG(st.st_mode);
    case NVL_ENTRY_FOLDER:
        break;
    }
    return nvl_strv_contains(made, place->path) &&
           nvl_root_stat(rootfs, place->path, AT_SYMLINK_NOFOLLOW, &st) == 0 && S_ISDIR(st.st_mode) &&
           nvl_root_list(rootfs, place->path, &names) == 0 && names.count == 0;
}

/* The places of that kind that are ours, removed; folders are left to nvl_made_remove. */
static void remove_kind(const struct nvl_root *rootfs, const struct nvl_places *places,
                        enum nvl_entry_kind kind, const struct nvl_strv *made, struct nvl_strv *removed,
                        struct nvl_strv *notes)
{
    for (size_t i = 0; i < places->count; i++) {
        const struct nvl_place *place = &places->items[i];
        if (place->entry->kind != kind || !is_ours(rootfs, place, made))
            continue;
        int r = kind == NVL_ENTRY_FOLDER ? 0 : remove_at(rootfs, place->path);
        say_problem(notes, "remove", place->path, r);
        if (r == 0 && removed != NULL)
            nvl_strv_push(removed, place->path);
    }
}

void nvl_entries_remove(const struct nvl_root *rootfs, struct nvl_strv *removed, struct nvl_strv *notes)
{
    nvl_auto(nvl_places_clear) struct nvl_places places = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv made = {0};

    nvl_places_make(&places, rootfs);
    read_made(rootfs, &places, &made);
    remove_kind(rootfs, &places, NVL_ENTRY_LINK, &made, removed, notes);
    remove_kind(rootfs, &places, NVL_ENTRY_FOLDER, &made, removed, notes);
    say_problem(notes, "remove", "a folder of nvlxc", nvl_made_remove(rootfs, &made, NULL));
    /* last: it says which folders are nvlxc's */
    remove_kind(rootfs, &places, NVL_ENTRY_LINKER, &made, removed, notes);
}

void nvl_entries_list(const struct nvl_root *rootfs, struct nvl_strv *paths)
{
    nvl_auto(nvl_places_clear) struct nvl_places places = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv made = {0};

    nvl_places_make(&places, rootfs);
    read_made(rootfs, &places, &made);
    for (size_t i = 0; i < places.count; i++)
        if (is_ours(rootfs, &places.items[i], &made))
            nvl_strv_push(paths, places.items[i].path);
}

void nvl_entries_all(unsigned capabilities, struct nvl_strv *paths)
{
    nvl_auto(nvl_places_clear) struct nvl_places places = {0};

    nvl_places_make(&places, NULL);
    for (size_t i = 0; i < places.count; i++)
        if (places.items[i].is_used && is_granted(places.items[i].entry, capabilities))
            nvl_strv_push(paths, places.items[i].path);
}
