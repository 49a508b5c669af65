/* The plan: turns a config into the requested one. Pure data, no input or output. */
#pragma once

#include "container/config.h"
#include "container/grant_lines.h"

struct nvl_plan {
    char *text; /* the whole new config */
    size_t len;
    bool changes; /* text differs from the config's */
};

/* Puts the grant into the config. Lines of nvlxc's that already say it stay where they are; its other lines
 * are replaced in place or removed. Missing lines go after the last of nvlxc's or, if there is none, to the
 * end of the top section (never after a [section], and before the blank lines that precede one); missing
 * dev[n] entries go where Proxmox would write them. The same request again changes no byte. `places` may be
 * NULL.
 *
 * Lines about NVIDIA that nvlxc did not write: -EEXIST, naming them. With `replace` they count as nvlxc's and
 * go, including those that went astray into a snapshot's section. -ENOSPC if Proxmox's dev[n] are all in use;
 * -EFBIG if the result would be larger than a config can be. */
int nvl_plan_attach(const struct nvl_config *config, const struct nvl_grant *grant,
                    const struct nvl_grant_places *places, bool replace, struct nvl_plan *plan,
                    struct nvl_error *err);
/* Takes the grant out: attach and then detach restore the file byte for byte, even if its last line has no
 * line end. With `replace` it also removes lines that nvlxc did not write: the config without a GPU. */
int nvl_plan_detach(const struct nvl_config *config, bool replace, struct nvl_plan *plan,
                    struct nvl_error *err);
void nvl_plan_clear(struct nvl_plan *plan);
