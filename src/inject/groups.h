/* The groups of a root file system, as its /etc/group has them. Hostile: the container's root writes it. */
#pragma once

#include "base/root.h"

/* The number of a group by its name ("render"), as the container counts; false where there is none. */
bool nvl_group_find(const struct nvl_root *rootfs, const char *name, unsigned *gid);
