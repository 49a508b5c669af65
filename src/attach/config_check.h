/* Whether a config may be given a grant at all. */
#pragma once

#include "container/target.h"

/* Refuses, with the line: an include that cannot be read, NVIDIA lines in a file that the config includes
 * (nvlxc edits no such file), and an environment that would run code of the container on the host once it has
 * a hook. */
int nvl_config_check(const struct nvl_root *root, const struct nvl_target *target, struct nvl_error *err);
