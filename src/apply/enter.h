/* A running container that may be changed: that the process which was named is its init, and what the
 * container's root is outside. Everything about it is read between taking the pidfd and seeing that it lives
 * still, so the number cannot have become another's meanwhile. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct nvl_container;
struct nvl_error;
struct nvl_root;

struct nvl_entry_point {
    pid_t init;
    int pidfd;
    int own_mounts; /* the way back */
    uid_t uid0;     /* the host's ids of the container's root, as the kernel maps them */
    gid_t gid0;
    char *gid_map; /* as the kernel says it */
};
#define NVL_ENTRY_POINT_NONE ((struct nvl_entry_point){.pidfd = -1, .own_mounts = -1})

/* Refused where it is not surely that container's: where another user than its owner answers for it, where it
 * has the host's mounts, and where its user namespace is not its owner's. */
int nvl_entry_point_open(struct nvl_entry_point *e, const struct nvl_root *host,
                         const struct nvl_container *c, struct nvl_error *err);
/* The host's number of a group of the container; false where it is not mapped. */
bool nvl_entry_point_gid(const void *entry, unsigned inside, unsigned *gid);
void nvl_entry_point_close(struct nvl_entry_point *e);

/* Joins the container's mount namespace, and opens its root there. For a process of its own: between enter
 * and leave no path of the host's means anything but through descriptors that are open. */
int nvl_entry_point_enter(const struct nvl_entry_point *e, struct nvl_root *rootfs);
int nvl_entry_point_leave(const struct nvl_entry_point *e);
/* From here on files are looked for and made as the container's root, with only its rights: not as the
 * host's, whom a user's container could send to files that are not the user's. */
int nvl_entry_point_become_root(const struct nvl_entry_point *e);
