/* Writing and removing nvlxc's files in a container's root file system. */
#include "inject/files.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/paths.h"
#include "grant/grant.h"
#include "inject/linker_conf.h"

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

static int open_mount_point(const struct nvl_root *rootfs)
{
    return nvl_root_openat(rootfs, NVL_MOUNT_POINT, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

/* The link is there and as it should be: then nothing above it needs to be looked at. */
static bool is_as_wanted(const struct nvl_root *rootfs, const struct nvl_place *place)
{
    nvl_autofree char *now = NULL;

    return nvl_root_readlink(rootfs, place->path, &now) == 0 && nvl_has_prefix(now, NVL_MOUNT_POINT) &&
           strcmp(now + strlen(NVL_MOUNT_POINT), place->entry->target) == 0;
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
    nvl_autofree char *target = nvl_xasprintf("%s%s", NVL_MOUNT_POINT, place->entry->target);
    nvl_auto(nvl_strv_clear) struct nvl_strv folders = {0};
    const char *name;

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

/* Of an earlier start that noted nothing, anything may be there. */
static void find_places(const struct nvl_root *rootfs, const struct nvl_entries_wanted *wanted,
                        struct nvl_made *made, struct nvl_places *places)
{
    nvl_made_read(rootfs, made);
    if (made->text != NULL)
        nvl_places_make_some(places, rootfs, wanted->capabilities, &made->links);
    else
        nvl_places_make(places, rootfs);
    nvl_made_keep_known(made, places);
    for (size_t i = 0; i < places->count; i++) {
        struct nvl_place *place = &places->items[i];
        const struct nvl_entry *e = place->entry;
        place->is_wanted = place->is_used && nvl_entry_is_granted(e, wanted->capabilities) &&
                           (e->kind != NVL_ENTRY_LINK || nvl_root_exists(wanted->bundle, e->target));
    }
}

/* Whether an earlier start has made the link, as far as is known. */
static bool is_noted(const struct nvl_made *made, const struct nvl_place *place)
{
    return place->entry->kind == NVL_ENTRY_LINK &&
           (made->text == NULL || nvl_strv_contains(&made->links, place->path));
}

/* Links that the grant no longer has, or the bundle; the folders that were made for them; then what is there
 * of `made` is what the wanted ones use. */
static void remove_surplus(const struct nvl_root *rootfs, const struct nvl_places *places,
                           struct nvl_made *made, struct nvl_strv *notes)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv needed = {0};

    for (size_t i = 0; i < places->count; i++) {
        const struct nvl_place *place = &places->items[i];
        if (place->is_wanted)
            nvl_place_folders(place, &needed);
        else if (is_noted(made, place) && is_our_link(rootfs, place->path))
            say_problem(notes, "remove", place->path, remove_at(rootfs, place->path));
    }
    say_problem(notes, "remove", "a folder of an earlier grant", nvl_made_remove(rootfs, made, &needed));
}

/* Notes what is wanted and what has to be made for it, before it is. */
static void note(const struct nvl_root *rootfs, const struct nvl_entries_wanted *wanted,
                 const struct nvl_places *places, const struct nvl_strv *lacking, struct nvl_made *made,
                 struct nvl_strv *notes)
{
    nvl_strv_clear(&made->links);
    if (!nvl_made_can_be_kept(rootfs, made))
        return;
    for (size_t i = 0; i < places->count; i++) {
        const struct nvl_place *place = &places->items[i];
        if (place->is_wanted && place->entry->kind == NVL_ENTRY_LINK)
            nvl_strv_push(&made->links, place->path);
        if (nvl_strv_contains(lacking, place->path))
            add_missing_folders(rootfs, place, &made->folders);
    }
    int r = nvl_made_write(rootfs, made, (wanted->capabilities & NVL_CAP_COMPAT32) != 0);
    say_problem(notes, "make", NVL_LINKER_CONF, r);
    if (r < 0)
        nvl_strv_clear(&made->folders); /* not noted: not made */
}

int nvl_entries_write(const struct nvl_root *rootfs, const struct nvl_entries_wanted *wanted,
                      struct nvl_strv *notes)
{
    nvl_auto(nvl_places_clear) struct nvl_places places = {0};
    nvl_auto(nvl_made_clear) struct nvl_made made = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv lacking = {0};
    nvl_autofd int mount_point = open_mount_point(rootfs);

    find_places(rootfs, wanted, &made, &places);
    remove_surplus(rootfs, &places, &made, notes);
    if (mount_point < 0)
        nvl_strv_push(&lacking, NVL_MOUNT_POINT);
    for (size_t i = 0; i < places.count; i++)
        if (places.items[i].is_wanted && places.items[i].entry->kind == NVL_ENTRY_LINK &&
            !is_as_wanted(rootfs, &places.items[i]))
            nvl_strv_push(&lacking, places.items[i].path);
    note(rootfs, wanted, &places, &lacking, &made, notes);
    for (size_t i = 0; i < places.count; i++) {
        const struct nvl_place *place = &places.items[i];
        if (!nvl_strv_contains(&lacking, place->path))
            continue;
        int r = place->entry->kind == NVL_ENTRY_FOLDER ? nvl_root_make_folder(rootfs, place->path)
                                                       : make_link(rootfs, place, &made.folders);
        say_problem(notes, "make", place->path, r);
    }
    return mount_point >= 0 ? TAKE_FD(mount_point) : open_mount_point(rootfs);
}

/* What is to be removed. In an image that can keep no note, the mount point counts as made. */
static void read_made(const struct nvl_root *rootfs, const struct nvl_places *places, struct nvl_made *made)
{
    nvl_made_read(rootfs, made);
    nvl_made_keep_known(made, places);
    if (!nvl_made_can_be_kept(rootfs, made))
        nvl_strv_push(&made->folders, NVL_MOUNT_POINT);
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
    nvl_auto(nvl_made_clear) struct nvl_made made = {0};

    nvl_places_make(&places, rootfs);
    read_made(rootfs, &places, &made);
    remove_kind(rootfs, &places, NVL_ENTRY_LINK, &made.folders, removed, notes);
    remove_kind(rootfs, &places, NVL_ENTRY_FOLDER, &made.folders, removed, notes);
    say_problem(notes, "remove", "a folder of nvlxc", nvl_made_remove(rootfs, &made, NULL));
    /* last: it says which folders are nvlxc's */
    remove_kind(rootfs, &places, NVL_ENTRY_LINKER, &made.folders, removed, notes);
}

void nvl_entries_list(const struct nvl_root *rootfs, struct nvl_strv *paths)
{
    nvl_auto(nvl_places_clear) struct nvl_places places = {0};
    nvl_auto(nvl_made_clear) struct nvl_made made = {0};

    nvl_places_make(&places, rootfs);
    read_made(rootfs, &places, &made);
    for (size_t i = 0; i < places.count; i++)
        if (is_ours(rootfs, &places.items[i], &made.folders))
            nvl_strv_push(paths, places.items[i].path);
}

void nvl_entries_all(unsigned capabilities, struct nvl_strv *paths)
{
    nvl_auto(nvl_places_clear) struct nvl_places places = {0};

    nvl_places_make(&places, NULL);
    for (size_t i = 0; i < places.count; i++)
        if (places.items[i].is_used && nvl_entry_is_granted(places.items[i].entry, capabilities))
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
            !nvl_root_exists(bundle, entry->target))
            continue;
        nvl_strv_push(paths, places.items[i].path);
        nvl_strv_push(files, entry->target);
    }
}
