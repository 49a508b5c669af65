/* Apt's sources on this machine, in both of apt's forms (sources.list(5)): which entries are Debian's own
 * archive, and what to add to them. Everything else stays byte for byte. Reading goes through the root; the
 * edits are texts, which the caller shows and writes. */
#pragma once

#include "base/root.h"

#define NVL_SOURCES_BACKPORTS "/etc/apt/sources.list.d/nvlxc-backports.sources"
#define NVL_SOURCES_PIN       "/etc/apt/preferences.d/nvlxc"
/* NVIDIA's archive. */
#define NVL_NVIDIAS_HOST        "developer.download.nvidia.com"
#define NVL_SOURCES_ARCHIVE     "/etc/apt/sources.list.d/nvlxc-nvidia.sources"
#define NVL_SOURCES_ARCHIVE_PIN "/etc/apt/preferences.d/nvlxc-nvidia"
#define NVL_SOURCES_ARCHIVE_KEY "/etc/apt/keyrings/nvlxc-nvidia.asc"

/* Whose archive an entry is. */
enum nvl_archive {
    NVL_ARCHIVE_OTHER,
    NVL_ARCHIVE_LIKELY, /* looks like a mirror of Debian's, without proof */
    NVL_ARCHIVE_DEBIAN, /* apt's own lists prove it, or its key or its host is Debian's */
};

/* A line of a .list, or a stanza of a .sources, that is in force and provides binary packages. */
struct nvl_source {
    size_t file; /* index into nvl_sources.files */
    struct nvl_strv uris, suites, components;
    char *signed_by;       /* as written, with continuation lines; NULL for none */
    size_t components_end; /* where more components go: the offset after the last one */
    enum nvl_archive archive;
};

struct nvl_sources_file {
    char *path;
    char *text;
    size_t len;
};

struct nvl_sources {
    struct nvl_sources_file *files; /* in apt's order */
    size_t n_files;
    struct nvl_source *items;
    size_t count;
};

/* /etc/apt/sources.list and what apt reads of sources.list.d. 0 also if there is none. */
int nvl_sources_read(const struct nvl_root *root, struct nvl_sources *sources, struct nvl_error *err);
void nvl_sources_clear(struct nvl_sources *sources);
/* One file's text, which the function takes over. For nvl_sources_read and tests; `path` tells which form it
 * has. Does not judge any entry's archive. */
void nvl_sources_parse(struct nvl_sources *sources, const char *path, char *text, size_t len);

/* The entry of Debian's own archive that provides `suite` (with component main); NULL for none. */
const struct nvl_source *nvl_sources_find(const struct nvl_sources *sources, const char *suite);
/* Whether some entry of Debian's provides this suite with this component. */
bool nvl_sources_give(const struct nvl_sources *sources, const char *suite, const char *component);

/* The path of the file that names NVIDIA's archive for Debian; NULL for none. */
const char *nvl_sources_find_nvidias(const struct nvl_sources *sources);

/* A file as it is and as it should be. */
struct nvl_edit {
    char *path;
    char *old_text; /* NULL if the file does not exist yet */
    size_t old_len;
    char *new_text;
    size_t new_len;
};
void nvl_edit_clear(struct nvl_edit *edit);

/* Adds `components` to every entry of Debian's own archive for this release: the suite `codename`, its
 * -updates and -security, and with `backports` its -backports if the machine has one. A component that
 * another entry provides for the same suite is not added. Appends one edit for each file that changes. */
void nvl_sources_add_components(const struct nvl_sources *sources, const char *codename, bool backports,
                                const struct nvl_strv *components, struct nvl_edit **edits, size_t *n_edits);
/* A separate stanza for backports, its mirror and key copied from `like`; the caller frees. */
char *nvl_sources_backports(const struct nvl_source *like, const char *codename,
                            const struct nvl_strv *components);

/* Fills in `archive` of every entry. Apt's lists (/var/lib/apt/lists) decide if they have the archive's
 * Release; else its key, its host's name, and last its path. "Likely" ones become Debian's if no entry is
 * certain, and somebody else's if one is. A suite that is an alias ("stable") gets its codename if the lists
 * tell it. */
void nvl_archives_judge(const struct nvl_root *root, struct nvl_sources *sources);
