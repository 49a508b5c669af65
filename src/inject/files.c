/* Writes nvlxc's files in a container's root file system. Nothing is written through a mount below the root:
 * it may be a folder of another container, or of the host (nvl_root_own). */
#include "inject/files.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/root.h"
#include "grant/grant.h"
#include "inject/home.h"
#include "inject/linker.h"
#include "inject/places.h"

/* The home, which may be mounted on, but lies on the root's own mount. */
static int open_mount_point(const struct nvl_root *own, const char *home)
{
    const char *name;
    int fd = nvl_root_openat(own, home, O_PATH | O_DIRECTORY | O_NOFOLLOW);

    if (fd != -EXDEV)
        return fd;
    nvl_autofd int parent = nvl_root_open_parent(own, home, &name);
    if (parent < 0)
        return parent;
    fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Whether the link exists and is correct: then there is no need to look at the folders above it. -EXDEV if it
 * lies on a mount. */
static int check_link(const struct nvl_root *rootfs, const struct nvl_places *places,
                      const struct nvl_place *place)
{
    nvl_autofree char *now = NULL;
    int r = nvl_root_readlink(rootfs, place->path, &now);
    const char *below = r == 0 && nvl_has_prefix(now, places->home) ? nvl_path_below_home(now) : NULL;

    return r < 0 ? r : below != NULL && strcmp(below, place->entry->target) == 0;
}

/* Whether the folder above `path` exists, or will exist. */
static bool has_parent(const struct nvl_root *rootfs, const char *path, const struct nvl_strv *made)
{
    nvl_autofree char *above = nvl_xstrndup(path, (size_t)(strrchr(path, '/') - path));

    return nvl_strv_contains(made, above) || nvl_root_exists(rootfs, above);
}

/* Adds the missing folders of the place. The container itself must have the deeper ones: an image without
 * them has no use for the entry. The mount point is made in any case. */
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

static int make_link(const struct nvl_root *rootfs, const char *home, const struct nvl_place *place,
                     const struct nvl_strv *made)
{
    nvl_autofree char *target = nvl_xasprintf("%s%s", home, place->entry->target);
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
    if (nvl_link_is_ours(rootfs, place->path))
        unlinkat(parent, name, 0);
    /* anything else there is the container's own and stays */
    return symlinkat(target, parent, name) < 0 && errno != EEXIST ? -errno : 0;
}

/* Whether the grant, the bundle and the root file system have a use for the place. */
static bool is_place_wanted(const struct nvl_entries_wanted *wanted, const struct nvl_places *places,
                            const struct nvl_place *place)
{
    const struct nvl_entry *e = place->entry;

    if (!place->is_used || !nvl_entry_is_granted(e, wanted->capabilities))
        return false;
    if (e->kind == NVL_ENTRY_FOLDER)
        return strcmp(place->path, places->home) == 0;
    return e->kind == NVL_ENTRY_LINKER || nvl_root_exists(wanted->bundle, e->target);
}

/* Leaves out a link that would lie on a mount. `elsewhere` gets those that are not there. */
static void look_at_link(const struct nvl_root *rootfs, const struct nvl_places *places,
                         struct nvl_place *place, struct nvl_strv *elsewhere)
{
    const struct nvl_root own = nvl_root_own(rootfs);
    int r = check_link(&own, places, place);

    place->is_right = r == 1;
    if (r != -EXDEV)
        return;
    place->is_wanted = false;
    if (check_link(rootfs, places, place) != 1)
        nvl_strv_push(elsewhere, place->path);
}

/* An earlier start that noted nothing may have left anything. */
static void find_wanted_places(const struct nvl_root *rootfs, const struct nvl_entries_wanted *wanted,
                               struct nvl_linker_conf *conf, struct nvl_places *places,
                               struct nvl_strv *notes)
{
    const struct nvl_root own = nvl_root_own(rootfs);
    nvl_auto(nvl_strv_clear) struct nvl_strv elsewhere = {0};
    const char *home = places->home;

    nvl_linker_conf_read(&own, conf);
    if (conf->text != NULL)
        nvl_places_make_some(places, &own, wanted->capabilities, &conf->links);
    else
        nvl_places_make(places, &own);
    places->home = conf->home = home;
    nvl_linker_conf_keep_known(conf, &places->folders);
    for (size_t i = 0; i < places->count; i++) {
        struct nvl_place *place = &places->items[i];
        place->is_wanted = is_place_wanted(wanted, places, place);
        if (place->is_wanted && place->entry->kind == NVL_ENTRY_LINK)
            look_at_link(rootfs, places, place, &elsewhere);
    }
    if (elsewhere.count > 0) {
        nvl_autofree char *list = nvl_strv_join(&elsewhere, ", ");
        nvl_strv_pushf(notes, "nothing is written through a mount that others may share: %s", list);
    }
}

/* Whether an earlier start has made the link, as far as the notes say. */
static bool is_noted(const struct nvl_linker_conf *conf, const struct nvl_place *place)
{
    return place->entry->kind == NVL_ENTRY_LINK &&
           (conf->text == NULL || nvl_strv_contains(&conf->links, place->path));
}

/* Removes links that the grant or the bundle no longer has, and the folders that were made for them; `made`
 * then has only folders that wanted entries use. A home stays until detach, which looks whether another
 * container uses it. */
static void remove_surplus(const struct nvl_root *own, const struct nvl_places *places,
                           struct nvl_linker_conf *conf, struct nvl_strv *notes)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv needed = {0};

    for (size_t i = 0; i < places->count; i++) {
        const struct nvl_place *place = &places->items[i];
        if (place->is_wanted || place->entry->kind == NVL_ENTRY_FOLDER)
            nvl_place_folders(place, &needed);
        else if (is_noted(conf, place) && nvl_link_is_ours(own, place->path))
            nvl_place_complain(notes, "remove", place->path, nvl_place_remove(own, place->path));
    }
    nvl_place_complain(notes, "remove", "a folder of an earlier grant",
                       nvl_linker_conf_remove_folders(own, conf, &needed));
}

/* Notes what is wanted and what has to be made for it, before making it. */
static int note_what_is_made(const struct nvl_root *own, const struct nvl_entries_wanted *wanted,
                             const struct nvl_places *places, struct nvl_linker_conf *conf,
                             struct nvl_strv *notes)
{
    bool can_note = nvl_linker_conf_can_be_written(own, conf);

    nvl_strv_clear(&conf->links);
    for (size_t i = 0; i < places->count; i++) {
        const struct nvl_place *place = &places->items[i];
        if (place->is_wanted && place->entry->kind == NVL_ENTRY_LINK)
            nvl_strv_push(&conf->links, place->path);
        if (place->is_wanted && !place->is_right && (can_note || place->entry->kind == NVL_ENTRY_FOLDER))
            add_missing_folders(own, place, &conf->folders);
    }
    int r = nvl_root_trouble(own, NULL);
    if (r < 0 || !can_note)
        return r;
    r = nvl_linker_conf_write(own, conf, (wanted->capabilities & NVL_CAP_COMPAT32) != 0);
    nvl_place_complain(notes, "make", NVL_LINKER_CONF, r);
    if (r < 0)
        nvl_strv_clear(&conf->folders); /* not noted: not made */
    return r;
}

/* Folders that an earlier start made for other entries stay. */
static void remove_half_made(const struct nvl_root *own, const struct nvl_place *home,
                             struct nvl_linker_conf *conf)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv its = {0}, others = {0};

    nvl_place_folders(home, &its);
    for (size_t i = 0; i < conf->folders.count; i++)
        if (!nvl_strv_contains(&its, conf->folders.items[i]))
            nvl_strv_push(&others, conf->folders.items[i]);
    nvl_linker_conf_remove_folders(own, conf, &others);
}

/* Makes the home; without a configuration of the linker it holds the note of what was made. Nothing stays if
 * either fails. */
static int make_home(const struct nvl_root *own, const struct nvl_place *home, struct nvl_linker_conf *conf)
{
    bool can_note = nvl_linker_conf_can_be_written(own, conf);
    int r = nvl_root_trouble(own, NULL);

    if (r == 0)
        r = nvl_root_make_folder(own, conf->home);
    if (r == 0 && !can_note)
        r = nvl_home_note_write(own, conf);
    if (r < 0)
        remove_half_made(own, home, conf);
    return r;
}

static void make_links(const struct nvl_root *own, const struct nvl_places *places,
                       const struct nvl_linker_conf *conf, struct nvl_strv *notes)
{
    for (size_t i = 0; i < places->count; i++) {
        const struct nvl_place *place = &places->items[i];
        if (place->is_wanted && !place->is_right && place->entry->kind == NVL_ENTRY_LINK)
            nvl_place_complain(notes, "make", place->path,
                               make_link(own, places->home, place, &conf->folders));
    }
}

/* The table has one for each home. */
static struct nvl_place *find_home_place(const struct nvl_places *places)
{
    size_t i = 0;

    while (strcmp(places->items[i].path, places->home) != 0)
        i++;
    return &places->items[i];
}

int nvl_entries_write(const struct nvl_root *rootfs, const char *home,
                      const struct nvl_entries_wanted *wanted, struct nvl_strv *notes)
{
    const struct nvl_root own = nvl_root_own(rootfs);
    nvl_auto(nvl_places_clear) struct nvl_places places = {.home = home};
    nvl_auto(nvl_linker_conf_clear) struct nvl_linker_conf conf = {0};
    nvl_autofd int mount_point = open_mount_point(&own, home);

    find_wanted_places(rootfs, wanted, &conf, &places, notes);
    struct nvl_place *place = find_home_place(&places);
    place->is_right = mount_point >= 0;
    int r = nvl_root_trouble(&own, NULL);
    if (r == 0)
        r = nvl_root_trouble(wanted->bundle, NULL);
    if (r < 0) /* the caller says it: what is there is not known, so nothing is written */
        return mount_point >= 0 ? TAKE_FD(mount_point) : r;
    remove_surplus(&own, &places, &conf, notes);
    r = note_what_is_made(&own, wanted, &places, &conf, notes);
    if (mount_point < 0 && r == 0)
        r = make_home(&own, place, &conf);
    if (r < 0 && (mount_point < 0 || nvl_is_trouble(r)))
        return mount_point >= 0 ? TAKE_FD(mount_point) : r;
    make_links(&own, &places, &conf, notes);
    return mount_point >= 0 ? TAKE_FD(mount_point) : open_mount_point(&own, home);
}
