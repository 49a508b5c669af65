/* Where Proxmox may start a CT of this cluster without being asked: its high availability, and the targets of
 * its replication. Sources: pve-ha-manager (resources.cfg, groups.cfg of Proxmox VE 8, rules.cfg of 9),
 * pve-guest-common's replication.cfg, PVE::SectionConfig. */
#pragma once

#include <stdbool.h>

#include "base/text.h"
#include "cluster/members.h"

enum nvl_move_reason {
    NVL_MOVE_HA = 1 << 0,
    NVL_MOVE_REPLICATION = 1 << 1,
};

/* "KIND: NAME", followed by its lines "KEY VALUE". */
struct nvl_section {
    char *kind, *name;
    struct nvl_strv keys, values;
};

struct nvl_sections {
    struct nvl_section *items;
    size_t count;
};

struct nvl_moves {
    struct nvl_sections resources, groups, rules, replication;
};

/* A file that is not there says nothing. -errno if one cannot be read: then the answer is unknown. The caller
 * clears them in any case. */
int nvl_moves_read(const struct nvl_root *root, struct nvl_moves *moves, struct nvl_error *err);
/* Bits of enum nvl_move_reason: why the CT may come to that node. */
unsigned nvl_moves_to(const struct nvl_moves *moves, const char *ctid, const char *node);
/* "HA", "replication", "HA and replication". */
const char *nvl_move_text(unsigned reasons);
void nvl_moves_clear(struct nvl_moves *moves);

/* The text of such a file; for tests and fuzzing. */
void nvl_sections_parse(const char *text, size_t len, struct nvl_sections *sections);
void nvl_sections_clear(struct nvl_sections *sections);
