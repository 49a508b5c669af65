/* A grant for people and for JSON: the same words in attach, list and show. */
#pragma once

#include <jansson.h>

#include "base/text.h"
#include "container/grant_lines.h"

json_t *nvl_json_strings(const struct nvl_strv *v);
/* ["GPU-…"], ["all"], ["none"]. */
json_t *nvl_json_devices(const struct nvl_grant *grant);
/* ["compute", "utility"]; all seven are listed. */
json_t *nvl_json_capabilities(unsigned capabilities);
/* "; nodes dev; libraries none; exclusive": what is not as usual but `required`; the caller frees. */
char *nvl_grant_ways_text(const struct nvl_grant *grant);

/* A config's lines about NVIDIA in a snapshot's section or the pending one, as "line 12 in [before]:
 * lxc.mount.entry: …". */
void nvl_config_stray_lines(const struct nvl_config *config, struct nvl_strv *lines);
/* The device paths that nvlxc's own entries in the config name: mount entries, dev[n]. */
void nvl_config_entries(const struct nvl_config *config, struct nvl_strv *paths);
/* The device paths that nvlxc's own rules in the config name. */
void nvl_config_rules(const struct nvl_config *config, struct nvl_strv *paths);
