/* Writing a bundle: what is new is made in a temporary folder beside it, then moved into place, the manifest
 * last. Not public: for this room. */
#pragma once

#include "bundle/copy.h"

struct nvl_stage {
    int store;              /* NVL_BUNDLE_DIR, locked */
    bool has_bundle;        /* a folder of that version is there: it is brought up to date in place */
    struct nvl_manifest *m; /* of the whole bundle; files without checksum are copied */
};

/* The links that stand for the manifest's libraries, and those of the bundle before that still lead to a
 * file. */
void nvl_stage_link(struct nvl_manifest *m, const struct nvl_manifest *before);
/* Whether the bundle has this file as it should be, going by its inode alone. */
bool nvl_stage_has_file(int bundle, const struct nvl_bundle_file *file);
/* Whether all links and `sonames` are as the manifest wants them. */
bool nvl_stage_has_rest(int bundle, const struct nvl_manifest *m);

/* On an error the temporary folder is gone, and a bundle that was there is as it was. */
int nvl_stage_write(struct nvl_stage *stage, struct nvl_copier *copier, const struct nvl_manifest *before,
                    struct nvl_error *err);
