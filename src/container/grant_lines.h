/* nvlxc's own lines in a config: which they are, what grant they say, and how they are written. There are no
 * marker comments (Proxmox moves every comment into the CT's notes): lines are known by what they say. */
#pragma once

#include "container/config.h"
#include "grant/grant.h"

enum nvl_line_owner {
    NVL_OWNER_OTHER,
    NVL_OWNER_NVLXC,   /* a hook line of ours; beside one, the two variables and path-form rules of NVIDIA's
                          nodes */
    NVL_OWNER_BY_HAND, /* about NVIDIA, but not ours: classic rules and mounts, LXC's nvidia hook, dev[n]
                          entries */
};

/* The owner of each line (n_lines of them, the caller frees). Snapshot and pending sections are OTHER.
 *
 * A path-form rule of /dev/dri may as well be another vendor's: it is ours only where the grant has graphics
 * or display and the rule stands with our lines, behind a hook line with no foreign lxc.* line between; never
 * BY_HAND. */
enum nvl_line_owner *nvl_config_owners(const struct nvl_config *config);

/* 1 and the grant where the config has ours, 0 where not. */
int nvl_config_grant(const struct nvl_config *config, struct nvl_grant *grant, struct nvl_error *err);

/* What a line of ours is for: two lines of the same slot say the same kind of thing, so one may replace the
 * other. */
enum nvl_grant_slot {
    NVL_SLOT_NONE, /* no line of a form that nvlxc writes */
    NVL_SLOT_DEVICES,
    NVL_SLOT_CAPABILITIES,
    NVL_SLOT_PRE_START,
    NVL_SLOT_MOUNT,
    NVL_SLOT_RULE,     /* path-form, of /dev/nvidia* */
    NVL_SLOT_DRI_RULE, /* path-form, of /dev/dri/{card,renderD}N */
};
enum nvl_grant_slot nvl_grant_slot(const char *key, const char *value);

struct nvl_grant_line {
    const char *key;
    char *value;
};
struct nvl_grant_line_list {
    struct nvl_grant_line *items;
    size_t count;
};
/* The lines that say `grant`: variables, hooks, then one path-form rule for each of `rules` (device paths;
 * NULL for none). */
void nvl_grant_line_list_make(struct nvl_grant_line_list *lines, const struct nvl_grant *grant,
                              const struct nvl_strv *rules);
void nvl_grant_line_list_clear(struct nvl_grant_line_list *lines);
/* "key: value" or "key = value", without a line end; the caller frees. */
char *nvl_grant_line_text(enum nvl_dialect dialect, const struct nvl_grant_line *line);

/* The same lines as texts in the dialect's form. */
void nvl_grant_lines(enum nvl_dialect dialect, const struct nvl_grant *grant, const struct nvl_strv *rules,
                     struct nvl_strv *lines);
