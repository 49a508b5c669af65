/* The search for the files of one version. Not public: for this room. */
#pragma once

#include "base/text.h"
#include "bundle/manifest.h"
#include "host/ldcache.h"

struct nvl_root;
struct nvl_userspace;

/* What has become of an entry of the catalog. */
enum nvl_absence {
    NVL_PRESENT,
    NVL_ABSENT,       /* not installed */
    NVL_OTHER_VERSION /* installed, but not of the bundle's version, as far as nvlxc can tell */
};

struct nvl_search {
    const struct nvl_root *root;
    const struct nvl_userspace *us;
    const char *version;
    const struct nvl_manifest *known; /* of the bundle as it is: what it has, unchanged, is not read */
    struct nvl_manifest *chosen;
    const char **sources;       /* for each entry of the catalog: the chosen 64-bit file; the manifest's */
    enum nvl_absence *absences; /* for each entry */
    bool is_main; /* findings count for these two; not for 32-bit libraries, which are an extra */
    /* Folders that exist, nearest to the libraries first: of programs, of data, and of the X server's modules
     */
    struct nvl_strv programs, data, modules;
};

void nvl_search_places(struct nvl_search *s);
/* Looks for one entry of the catalog, and notes what became of it. */
void nvl_search_entry(struct nvl_search *s, size_t entry);
void nvl_search_clear(struct nvl_search *s);

/* Whether the library folder us->dirs[i] has libraries of the version, of that class. */
bool nvl_search_counts(const struct nvl_search *s, size_t dir, enum nvl_elf_class elf);
/* The regular file behind `path`: a bundle's file without its place in the bundle. The caller frees its
 * source. */
bool nvl_search_inspect(const struct nvl_search *s, const char *path, struct nvl_bundle_file *file);
/* Whether the bundle has this file at that place, unchanged: then it was examined before. */
bool nvl_search_knows(const struct nvl_search *s, const char *place, const struct nvl_bundle_file *file);
/* Chooses it; takes over its source. Returns the chosen one's source. */
const char *nvl_search_take(struct nvl_search *s, const char *place, struct nvl_bundle_file *file);
