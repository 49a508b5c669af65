/* Which files of the host make the bundle of a version, and which are missing. */
#pragma once

#include "base/text.h"

struct nvl_error;
struct nvl_manifest;
struct nvl_root;
struct nvl_userspace;

/* What a bundle should contain of one capability, and the host does not have. */
struct nvl_missing_files {
    unsigned capability;      /* one bit */
    char *text;               /* "video: libnvidia-encode.so.1 is not installed" */
    struct nvl_strv packages; /* that bring them, by Debian's names; may be empty. driver/advice.h tells what
                                 brings them on this host */
};
struct nvl_missing {
    struct nvl_missing_files *items;
    size_t count;
};
void nvl_missing_clear(struct nvl_missing *missing);

struct nvl_selection {
    struct nvl_missing missing;
    struct nvl_strv unlisted; /* names of libraries that the catalog does not know, and that were chosen all
                                 the same: they have the driver's version */
};
void nvl_selection_clear(struct nvl_selection *selection);

/* Fills `chosen` (without checksums and sonames) with the files of `version`, and `selection`. Files that
 * `known` has, unchanged, are not read. -ENOENT if neither libcuda nor libnvidia-ml of that version exists.
 */
int nvl_select_files(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                     const struct nvl_manifest *known, struct nvl_manifest *chosen,
                     struct nvl_selection *selection, struct nvl_error *err);
/* Only what the bundle of that version lacks, as a sync would report it. */
int nvl_bundle_lacks(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                     struct nvl_missing *missing, struct nvl_error *err);
