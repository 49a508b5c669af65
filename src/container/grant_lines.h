/* nvlxc's own lines in a config: which they are, what grant they say, and how they are written. There are no marker
 * comments (Proxmox moves every comment into the CT's notes): lines are known by what they say. */
#pragma once

#include "container/config.h"
#include "grant/grant.h"

enum nvl_line_owner {
    NVL_OWNER_OTHER,
    NVL_OWNER_NVLXC,   /* a hook line of ours; beside one, the two variables and path-form rules of NVIDIA's nodes */
    NVL_OWNER_BY_HAND, /* about NVIDIA, but not ours: classic rules and mounts, LXC's nvidia hook, dev[n] entries */
};

/* The owner of each line (n_lines of them, the caller frees). Snapshot and pending sections are OTHER. */
enum nvl_line_owner *nvl_config_owners(const struct nvl_config *config);

/* 1 and the grant where the config has ours, 0 where not. */
int nvl_config_grant(const struct nvl_config *config, struct nvl_grant *grant, struct nvl_error *err);

/* The lines that say `grant`, without line ends, in the dialect's form: variables, hooks, then one path-form rule for
 * each of `rules` (device paths). */
void nvl_grant_lines(enum nvl_dialect dialect, const struct nvl_grant *grant, const struct nvl_strv *rules,
                     struct nvl_strv *lines);
