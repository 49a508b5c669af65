/* The fate of a config's lines: decide.c decides it, plan.c writes it. Internal to this room. */
#pragma once

#include "container/grant_lines.h"

enum nvl_fate { NVL_FATE_KEEP, NVL_FATE_REPLACE, NVL_FATE_REMOVE };

struct nvl_config_edit {
    const struct nvl_config *config;
    bool *taken;          /* of each line of config: nvlxc may change it. All others stay */
    enum nvl_fate *fates; /* of each line of config */
    size_t *replacements; /* for REPLACE: index in wanted */
    struct nvl_grant_line_list wanted;
    bool *placed;     /* of each wanted line: a kept, replaced or foreign line already says it */
    size_t insert_at; /* wanted lines without a place go before this line of config */
    size_t mount_at;  /* the mount hook that stays, n_lines for none: lines that need company precede it */
};

/* Fills in the rest for `config`, `taken` and `wanted`. -ENOSPC if Proxmox's dev0 to dev255 are all in use.
 */
int nvl_config_edit_decide(struct nvl_config_edit *edit, struct nvl_error *err);
/* Frees `taken` and everything that was filled in. */
void nvl_config_edit_clear(struct nvl_config_edit *edit);
