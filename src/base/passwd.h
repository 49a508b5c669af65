/* Users of a container, out of its own /etc/passwd and /etc/group: hostile text. */
#pragma once

#include "base/root.h"

#define NVL_INSIDE_GROUPS 32
struct nvl_inside_user {
    char *name, *home;
    uid_t uid; /* as the container has it */
    gid_t gid;
    gid_t groups[NVL_INSIDE_GROUPS];
    size_t n_groups;
};

/* The user of the container by that name, with its groups. -ENOENT where there is none. */
int nvl_inside_user_find(const struct nvl_root *rootfs, const char *name, struct nvl_inside_user *user);
void nvl_inside_user_clear(struct nvl_inside_user *user);

/* The number of a group by its name ("render"), as the container counts; false where there is none. */
bool nvl_group_find(const struct nvl_root *rootfs, const char *name, unsigned *gid);
