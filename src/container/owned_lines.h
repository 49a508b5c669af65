/* A config's lines about NVIDIA, sorted by owner. */
#pragma once

#include "container/grant_lines.h"

/* Those in a snapshot's section or the pending one, as "line 12 in [before]: lxc.mount.entry: …". */
void nvl_config_stray_lines(const struct nvl_config *config, struct nvl_strv *lines);
/* The device paths that nvlxc's own entries in the config name: mount entries, dev[n]. */
void nvl_config_entries(const struct nvl_config *config, struct nvl_strv *paths);
/* The device paths that nvlxc's own rules in the config name. */
void nvl_config_rules(const struct nvl_config *config, struct nvl_strv *paths);
