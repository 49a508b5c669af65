/* The files that nvlxc keeps in a container's root file system, as one table. */
#include "rootfs/entries.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"
#include "grant/grant.h"

enum entry_kind {
    ENTRY_FOLDER, /* with the folders above it, where they are missing */
    ENTRY_LINKER, /* the folders that the linker shall search */
    ENTRY_LINK,   /* target: a file of the bundle */
};

struct entry {
    enum entry_kind kind;
    const char *path;
    const char *target;  /* LINK: below the bundle */
    unsigned capability; /* wanted with any of these; 0 always */
};

static const struct entry entries[] = {
    {ENTRY_FOLDER, NVL_MOUNT_POINT, NULL, 0},
    /* 00-: before the distribution's own folders, so that the bundle's library wins over one of the same
       soname */
    {ENTRY_LINKER, "/etc/ld.so.conf.d/00-nvlxc.conf", NULL, 0},
    {ENTRY_LINK, "/usr/local/bin/nvidia-smi", "/bin/nvidia-smi", NVL_CAP_UTILITY},
};

static int write_linker(const struct nvl_root *rootfs, const char *path, unsigned capabilities)
{
    const char *name, *text = NVL_MOUNT_POINT "/lib64\n";
    nvl_autofree char *now = NULL;
    size_t len;

    if ((capabilities & NVL_CAP_COMPAT32) != 0)
        text = NVL_MOUNT_POINT "/lib64\n" NVL_MOUNT_POINT "/lib32\n";
    nvl_autofd int parent = nvl_root_open_parent(rootfs, path, &name);
    if (parent < 0)
        return parent == -ENOENT ? 0 : parent; /* no such folder: nothing reads it in this image */
    if (nvl_root_read(rootfs, path, 4096, &now, &len) == 0 && strcmp(now, text) == 0)
        return 0;
    struct nvl_error err;
    return nvl_file_replace(parent, name, text, strlen(text), NULL, &err);
}

/* Whether the link is one of ours: into the bundle. */
static bool is_our_link(const struct nvl_root *rootfs, const char *path)
{
    nvl_autofree char *target = NULL;

    return nvl_root_readlink(rootfs, path, &target) == 0 && nvl_has_prefix(target, NVL_MOUNT_POINT "/");
}

static int make_link(const struct nvl_root *rootfs, const char *path, const char *target)
{
    const char *name;
    nvl_autofree char *now = NULL;

    if (nvl_root_readlink(rootfs, path, &now) == 0 && strcmp(now, target) == 0)
        return 0;
    nvl_autofd int parent = nvl_root_open_parent(rootfs, path, &name);
    if (parent < 0)
        return parent == -ENOENT ? 0 : parent;
    if (is_our_link(rootfs, path))
        unlinkat(parent, name, 0);
    /* what else stands there is the container's own and stays */
    return symlinkat(target, parent, name) < 0 && errno != EEXIST ? -errno : 0;
}

static int write_entry(const struct nvl_root *rootfs, const struct entry *e,
                       const struct nvl_entries_wanted *wanted)
{
    switch (e->kind) {
    case ENTRY_FOLDER:
        return nvl_root_make_folder(rootfs, e->path);
    case ENTRY_LINKER:
        return write_linker(rootfs, e->path, wanted->capabilities);
    case ENTRY_LINK:
        break;
    }
    if (!nvl_root_exists(wanted->bundle, e->target))
        return 0;
    nvl_autofree char *target = nvl_xasprintf("%s%s", NVL_MOUNT_POINT, e->target);
    return make_link(rootfs, e->path, target);
}

void nvl_entries_write(const struct nvl_root *rootfs, const struct nvl_entries_wanted *wanted,
                       struct nvl_strv *notes)
{
    for (size_t i = 0; i < NVL_LENGTH(entries); i++) {
        const struct entry *e = &entries[i];
        if (e->capability != 0 && (e->capability & wanted->capabilities) == 0)
            continue;
        int r = write_entry(rootfs, e, wanted);
        if (r < 0)
            nvl_strv_pushf(notes, "cannot make %s in the container: %s", e->path, strerror(-r));
    }
}

/* Whether what stands at the entry's path was made by nvlxc. */
static bool is_ours(const struct nvl_root *rootfs, const struct entry *e)
{
    struct stat st;

    if (e->kind == ENTRY_LINK)
        return is_our_link(rootfs, e->path);
    if (nvl_root_stat(rootfs, e->path, AT_SYMLINK_NOFOLLOW, &st) < 0)
        return false;
    if (e->kind == ENTRY_LINKER)
        return S_ISREG(st.st_mode);
    /* a folder with files in it is not the empty mount point that nvlxc made */
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    return S_ISDIR(st.st_mode) && nvl_root_list(rootfs, e->path, &names) == 0 && names.count == 0;
}

void nvl_entries_remove(const struct nvl_root *rootfs, struct nvl_strv *removed, struct nvl_strv *notes)
{
    for (size_t i = NVL_LENGTH(entries); i-- > 0;) {
        const struct entry *e = &entries[i];
        const char *name;
        if (!is_ours(rootfs, e))
            continue;
        nvl_autofd int parent = nvl_root_open_parent(rootfs, e->path, &name);
        int r = parent;
        if (r >= 0)
            r = unlinkat(parent, name, e->kind == ENTRY_FOLDER ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
        if (r == 0 && removed != NULL)
            nvl_strv_push(removed, e->path);
        if (r < 0 && notes != NULL)
            nvl_strv_pushf(notes, "cannot remove %s in the container: %s", e->path, strerror(-r));
    }
}

void nvl_entries_list(const struct nvl_root *rootfs, struct nvl_strv *paths)
{
    for (size_t i = 0; i < NVL_LENGTH(entries); i++)
        if (is_ours(rootfs, &entries[i]))
            nvl_strv_push(paths, entries[i].path);
}

void nvl_entries_all(struct nvl_strv *paths)
{
    for (size_t i = 0; i < NVL_LENGTH(entries); i++)
        nvl_strv_push(paths, entries[i].path);
}
