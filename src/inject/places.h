/* The table of nvlxc's files in a container's root file system, and the paths that it comes to in one of
 * them. inject/files.c writes them, inject/files_remove.c takes them away. */
#pragma once

#include <stdbool.h>

#include "base/text.h"

struct nvl_root;

enum nvl_entry_kind {
    NVL_ENTRY_FOLDER, /* the mount point, with missing folders above it */
    NVL_ENTRY_LINKER, /* the folders that the linker searches */
    NVL_ENTRY_LINK,   /* to a file of the bundle */
};

/* The start of an entry's path. */
enum nvl_entry_base {
    NVL_BASE_ROOT,  /* nothing: the path is complete */
    NVL_BASE_BIN,   /* a folder that PATH has: the next one if the first lies on a mount */
    NVL_BASE_LIB64, /* the folder of the container's own libraries, which distributions name in three ways */
    NVL_BASE_LIB32,
    NVL_BASE_XORG, /* the folder of the X server's modules */
};

struct nvl_entry {
    enum nvl_entry_kind kind;
    enum nvl_entry_base base;
    const char *path;
    const char *target;    /* LINK: below the bundle */
    unsigned capabilities; /* wanted with any of these; 0: always */
    unsigned n_folders;    /* this many folders above it are made if missing */
};

/* An entry at one of its possible paths. */
struct nvl_place {
    const struct nvl_entry *entry;
    char *path;
    bool is_used;   /* this root file system uses this path */
    bool is_wanted; /* by the grant at hand */
    bool is_right;  /* there already, as it should be */
};

struct nvl_places {
    const char *home; /* where links lead; NULL if nothing is to be made */
    struct nvl_place *items;
    size_t count;
    struct nvl_strv folders; /* those that may be made for any of them, outer ones first, each once */
};

/* With a root file system: the paths that can exist. With NULL: all, with the first of each as used. */
void nvl_places_make(struct nvl_places *places, const struct nvl_root *rootfs);
/* The places in a root file system that these capabilities need, or that have one of these paths. A start
 * looks at no others. */
void nvl_places_make_some(struct nvl_places *places, const struct nvl_root *rootfs, unsigned capabilities,
                          const struct nvl_strv *paths);
void nvl_places_clear(struct nvl_places *places);

bool nvl_entry_is_granted(const struct nvl_entry *e, unsigned capabilities);
/* The folders that may be made for it, outer ones first; a FOLDER includes itself. */
void nvl_place_folders(const struct nvl_place *place, struct nvl_strv *folders);
/* Whether the link is nvlxc's: it leads into the bundle. */
bool nvl_link_is_ours(const struct nvl_root *rootfs, const char *path);
int nvl_place_remove(const struct nvl_root *rootfs, const char *path);
/* "cannot WHAT PATH in the container: …"; nothing if r is no error, or notes is NULL. */
void nvl_place_complain(struct nvl_strv *notes, const char *what, const char *path, int r);
