/* Which files of the host make the bundle of a version, and which are missing. */
#pragma once

struct nvl_error;
struct nvl_manifest;
struct nvl_root;
struct nvl_strv;
struct nvl_userspace;

/* Fills `chosen` (without checksums and sonames) with the files of `version`, and `missing` by capability as
 * nvl_sync_result has it. Files that `known` has, unchanged, are not read. -ENOENT where neither libcuda nor
 * libnvidia-ml of that version is there. */
int nvl_select_files(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                     const struct nvl_manifest *known, struct nvl_manifest *chosen, struct nvl_strv *missing,
                     struct nvl_error *err);
/* Only what the bundle of that version lacks, as a sync would say. */
int nvl_bundle_lacks(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                     struct nvl_strv *missing, struct nvl_error *err);
