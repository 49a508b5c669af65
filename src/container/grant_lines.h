/* The lines that nvlxc writes into a config: their forms, and the lines that express a grant. There are no
 * marker comments (Proxmox moves every comment into the CT's notes): nvlxc recognizes lines by what they say.
 */
#pragma once

#include "base/text.h"
#include "container/config.h"
#include "grant/grant.h"

/* The purpose of one of nvlxc's lines: two lines of the same slot say the same kind of thing, so one may
 * replace the other. */
enum nvl_grant_slot {
    NVL_SLOT_NONE, /* not a line of a form that nvlxc writes */
    NVL_SLOT_DEVICES,
    NVL_SLOT_GPUS, /* NVLXC_GPUS: beside NVL_SLOT_DEVICES where the grant is open */
    NVL_SLOT_CAPABILITIES,
    NVL_SLOT_PRE_START,
    NVL_SLOT_MOUNT,
    NVL_SLOT_RULE,       /* path-form, of /dev/nvidia* */
    NVL_SLOT_ENTRY,      /* mount entry of /dev/nvidia* */
    NVL_SLOT_DEV,        /* Proxmox's dev[n] of /dev/nvidia* */
    NVL_SLOT_DRI_DEV,    /* of /dev/dri/{card,renderD}N, with mode, uid 0 and gid spelled out */
    NVL_SLOT_LIBRARY,    /* mount entry of a library folder, and of nvidia-smi */
    NVL_SLOT_DRI_ENTRY,  /* mount entry of /dev/dri/{card,renderD}N */
    NVL_SLOT_DRI_RULE,   /* path-form, of /dev/dri/{card,renderD}N */
    NVL_SLOT_WITH_ENTRY, /* mount entry of what --with names */
    NVL_SLOT_WITH_RULE,  /* path-form, of a node that --with names */
};
enum nvl_grant_slot nvl_grant_slot(const char *key, const char *value);
enum nvl_grant_slot nvl_line_slot(const struct nvl_line *line); /* NONE also if it is not a KEY line */
/* LIBRARY, DRI_ENTRY, DRI_RULE, WITH_ENTRY, WITH_RULE: see ownership.h. */
bool nvl_slot_needs_company(enum nvl_grant_slot slot);
/* Parses the value of a hook line: the delivery of the grant. False unless it is exactly what nvlxc writes,
 * or wrote before. */
bool nvl_hook_line_parse(const char *value, struct nvl_delivery *delivery);

/* What a grant's lines name on its host. */
struct nvl_grant_places {
    struct nvl_strv nodes;     /* device paths: for NODES_DEV and NODES_STATIC */
    struct nvl_strv rules;     /* device paths that need a rule of the container's filter */
    struct nvl_strv libraries; /* for LIBRARIES_HOST: folders (nvl_is_library_folder) */
    bool has_smi;              /* also NVL_HOST_SMI */
    unsigned video, render;    /* the container's groups for the nodes of /dev/dri; 0 if unknown */
    bool needs_rules;          /* the filter is an allow-list: what --with names needs rules, too */
};
void nvl_grant_places_clear(struct nvl_grant_places *places);
#define NVL_HOST_SMI      "/usr/bin/nvidia-smi" /* links followed, at each start */
#define NVL_CONTAINER_SMI "/opt/nvidia-container/nvidia-smi"

struct nvl_grant_line {
    enum nvl_grant_slot slot;
    const char *key;
    int index; /* of dev[n], behind the key; -1 for others */
    char *value;
};
struct nvl_grant_line_list {
    struct nvl_grant_line *items;
    size_t count;
};
/* The lines for `grant`, in the order of writing; dev[n] are numbered from 0. `places` may be NULL. */
void nvl_grant_line_list_make(struct nvl_grant_line_list *lines, const struct nvl_grant *grant,
                              const struct nvl_grant_places *places);
void nvl_grant_line_list_clear(struct nvl_grant_line_list *lines);
/* "key: value" or "key = value", without a line end; the caller frees. */
char *nvl_grant_line_text(enum nvl_dialect dialect, const struct nvl_grant_line *line);

/* The same lines as texts in the dialect's form. */
void nvl_grant_lines(enum nvl_dialect dialect, const struct nvl_grant *grant,
                     const struct nvl_grant_places *places, struct nvl_strv *lines);
