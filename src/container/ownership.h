/* Who wrote a config's line: nvlxc, somebody by hand; or the line is not about NVIDIA at all. */
#pragma once

#include "container/config.h"

enum nvl_line_owner {
    NVL_OWNER_OTHER,
    NVL_OWNER_NVLXC,   /* a hook line of nvlxc's; beside one, lines of the forms that nvlxc writes */
    NVL_OWNER_BY_HAND, /* about NVIDIA, but not nvlxc's: classic rules and mounts, LXC's nvidia hook, dev[n]
                          entries */
};

/* The owner of each line (n_lines of them, the caller frees). Snapshot sections are OTHER; in the pending
 * section, dev[n] entries count, since the next start applies them.
 *
 * Every delivery of a grant has hook lines, and their arguments say which delivery it is: so a mount entry of
 * a node is nvlxc's only with --nodes=static, a dev[n] entry of one only with --nodes=dev. A line that may as
 * well be somebody else's (library folders, another vendor's nodes of /dev/dri) is nvlxc's only if it stands
 * directly above nvlxc's mount hook, with no lxc.* line of another kind between; it is never BY_HAND. */
enum nvl_line_owner *nvl_config_owners(const struct nvl_config *config);

/* Lines about NVIDIA that other tools appended to the file, so that they landed in its last section or in the
 * pending one, where they have no effect: a flag for each line (the caller frees), NULL if there are none.
 * Only if the top section has nothing about NVIDIA: otherwise the section is a snapshot of such a time. */
bool *nvl_config_strays(const struct nvl_config *config);
