/* Whose a config's line is: nvlxc's, somebody's by hand, or not about NVIDIA at all. */
#pragma once

#include "container/config.h"

enum nvl_line_owner {
    NVL_OWNER_OTHER,
    NVL_OWNER_NVLXC,   /* a hook line of ours; beside one, lines of the forms that nvlxc writes */
    NVL_OWNER_BY_HAND, /* about NVIDIA, but not ours: classic rules and mounts, LXC's nvidia hook, dev[n]
                          entries */
};

/* The owner of each line (n_lines of them, the caller frees). Snapshot sections are OTHER; of the
 * pending section dev[n] entries count, which the next start applies.
 *
 * There are hook lines in every way that a grant can be carried out, and their arguments say which: so a
 * mount entry of a node is ours only with --nodes=static, a dev[n] entry of one only with --nodes=dev. What
 * may as well be somebody else's (library folders, another vendor's nodes of /dev/dri) is ours only where it
 * stands directly above our mount hook, with no lxc.* line of another kind between; never BY_HAND. */
enum nvl_line_owner *nvl_config_owners(const struct nvl_config *config);

/* Lines about NVIDIA that other tools appended to the file, so that they landed in its last section, or in
 * the pending one, where they have no effect: a flag for each line (the caller frees), NULL where there are
 * none. Only where the top section has nothing about NVIDIA: else the section is a snapshot of such a time.
 */
bool *nvl_config_strays(const struct nvl_config *config);
