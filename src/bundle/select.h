/* Which files of the host make the bundle of a version. Not public: for this room. */
#pragma once

#include "bundle/manifest.h"
#include "host/userspace.h"

/* Fills `chosen` (without checksums and sonames) with the files of `version`, and `missing` by capability as
 * nvl_sync_result has it. Files that `known` has, unchanged, are not read. -ENOENT where neither libcuda nor
 * libnvidia-ml of that version is there. */
int nvl_choose(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
               const struct nvl_manifest *known, struct nvl_manifest *chosen, struct nvl_strv *missing,
               struct nvl_error *err);
