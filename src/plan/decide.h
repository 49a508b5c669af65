/* What becomes of a config's lines: decided by decide.c, written by plan.c. Inside this room. */
#pragma once

#include "container/grant_lines.h"

enum nvl_fate { NVL_FATE_KEEP, NVL_FATE_REPLACE, NVL_FATE_REMOVE };

struct nvl_config_edit {
    const struct nvl_config *config;
    bool *taken;          /* of each line of config: nvlxc's to change. All others are kept */
    enum nvl_fate *fates; /* of each line of config */
    size_t *replacements; /* for REPLACE: index in wanted */
    struct nvl_grant_line_list wanted;
    bool *placed;     /* of each wanted line: a kept or replaced line says it, or a line of somebody else */
    size_t insert_at; /* wanted lines without a place go before this line of config */
    size_t mount_at;  /* the mount hook that stays, n_lines for none: what needs company goes before it */
};

/* Fills in the rest, for `config`, `taken` and `wanted`. -ENOSPC where Proxmox's dev0 to dev255 are all in
 * use. */
int nvl_config_edit_decide(struct nvl_config_edit *edit, struct nvl_error *err);
/* `taken` and all that was filled in. */
void nvl_config_edit_clear(struct nvl_config_edit *edit);
