/* The table of nvlxc's files in a container's root file system, and the paths that they have in one. Not
 * public: for this room. */
#pragma once

#include "base/root.h"

/* The linker's configuration. 00-: before the distribution's own folders, so that the bundle's library wins
 * over one of the same soname. */
#define NVL_LINKER_CONF "/etc/ld.so.conf.d/00-nvlxc.conf"

enum nvl_entry_kind {
    NVL_ENTRY_FOLDER, /* the mount point, with the folders above it, where they are missing */
    NVL_ENTRY_LINKER, /* the folders that the linker shall search */
    NVL_ENTRY_LINK,   /* to a file of the bundle */
};

/* What an entry's path begins with. */
enum nvl_entry_base {
    NVL_BASE_ROOT,  /* nothing: it is whole */
    NVL_BASE_LIB64, /* the folder of the container's own libraries: distributions name it in three ways */
    NVL_BASE_LIB32,
};

struct nvl_entry {
    enum nvl_entry_kind kind;
    enum nvl_entry_base base;
    const char *path;
    const char *target;    /* LINK: below the bundle */
    unsigned capabilities; /* wanted with any of these; 0: always */
    unsigned n_folders;    /* so many folders above it are made where they are missing */
};

/* An entry at one path that it can have. */
struct nvl_place {
    const struct nvl_entry *entry;
    char *path;
    bool is_used;   /* the one of its paths that this root file system uses */
    bool is_wanted; /* entries.c: by the grant at hand */
};

struct nvl_places {
    struct nvl_place *items;
    size_t count;
    struct nvl_strv folders; /* those that may be made for any of them, outer ones first, each once */
};

/* With a root file system: the paths that can be there. With NULL: all, the first of each used. */
void nvl_places_make(struct nvl_places *places, const struct nvl_root *rootfs);
/* Of those in a root file system: what these capabilities bring, and what is at one of these paths. A start
 * looks at no others. */
void nvl_places_make_some(struct nvl_places *places, const struct nvl_root *rootfs, unsigned capabilities,
                          const struct nvl_strv *paths);
bool nvl_entry_is_granted(const struct nvl_entry *e, unsigned capabilities);
void nvl_places_clear(struct nvl_places *places);
/* The folders that may be made for it, outer ones first; a FOLDER is among its own. */
void nvl_place_folders(const struct nvl_place *place, struct nvl_strv *folders);
