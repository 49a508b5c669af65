/* A config's keys in the order in which liblxc takes them, with the files that it includes (inside this
 * room). */
#pragma once

#include "container/config.h"

/* Called for each key of force; less than 0 (with err set) ends the walk. */
typedef int nvl_key_fn(void *context, const char *key, const char *value, struct nvl_error *err);

/* The top section's keys; those of lines in `skip` (n_lines flags, NULL for none) are left out. lxc.include
 * names a file, or a folder whose *.conf are read; an absent folder is nothing, an absent file an error, as
 * in liblxc. Includes may come from a user: their depth, number and size are limited. */
int nvl_config_walk(const struct nvl_root *root, const struct nvl_config *config, const bool *skip,
                    nvl_key_fn *each, void *context, struct nvl_error *err);
