/* The plan: what turns a config as it is into the one asked for. Pure data, no input or output. */
#pragma once

#include "container/config.h"
#include "container/grant_lines.h"

struct nvl_plan {
    char *text; /* the whole new config */
    size_t len;
    bool changes; /* text differs from the config's */
};

/* Puts the grant into the config: lines of ours that already say it stay where they are, lines of ours that
 * say something else are replaced in place or removed, missing ones go behind the last of ours or, where
 * there is none, to the end of the top section (never behind a [section], before the blank lines that precede
 * one). The same request again changes no byte. `places` may be NULL.
 *
 * NVIDIA lines that are not ours: -EEXIST with the lines named; with `replace` they count as ours, so they
 * go, and those that went astray into a snapshot's section go too. -ENOSPC where Proxmox's dev[n] are all in
 * use; -EFBIG where the result would be larger than a config can be. */
int nvl_plan_attach(const struct nvl_config *config, const struct nvl_grant *grant,
                    const struct nvl_grant_places *places, bool replace, struct nvl_plan *plan,
                    struct nvl_error *err);
/* Takes the grant out: attach then detach gives back the file byte for byte, also where its last line has no
 * line end. With `replace` the lines that are not ours too: the config without a GPU. */
int nvl_plan_detach(const struct nvl_config *config, bool replace, struct nvl_plan *plan,
                    struct nvl_error *err);
void nvl_plan_clear(struct nvl_plan *plan);
