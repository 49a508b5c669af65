/* Taking nvlxc's files out of a container's root file system after `detach`. */
#pragma once

#include "container/container.h"

/* Where the root file system cannot be reached (running, not on a directory): nothing is done, and `remaining` lists
 * the files that stay, with `why`. The linker cache is written again where it names the bundle. */
int nvl_clean_rootfs(const struct nvl_root *root, const struct nvl_container *c, const struct nvl_config *config,
                     struct nvl_strv *remaining, char **why, struct nvl_error *err);
