/* Whose archive an entry of apt's sources is. A part of sources.c. */
#pragma once

#include "setup/sources.h"

/* Fills in `archive` of every entry. Apt's lists (/var/lib/apt/lists) decide where they have the archive's
 * Release; else its key, its host's name, and last its path. "Likely" ones become Debian's where no entry is
 * for certain, and somebody else's where one is. A suite that is an alias ("stable") gets its codename's
 * name where the lists say it. */
void nvl_archives_judge(const struct nvl_root *root, struct nvl_sources *sources);
