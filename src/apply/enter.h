/* A running container that may be changed: checks that the named process is its init, and finds the host's
 * ids of the container's root. Everything is read between taking the pidfd and checking that the process
 * still lives, so the number cannot have passed to another process meanwhile. */
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
    char *gid_map; /* as the kernel gives it */
};
#define NVL_ENTRY_POINT_NONE ((struct nvl_entry_point){.pidfd = -1, .own_mounts = -1})

/* Refuses unless it is certainly that container: if another user than its owner answers for it, if it has the
 * host's mounts, or if its user namespace is not its owner's. */
int nvl_entry_point_open(struct nvl_entry_point *e, const struct nvl_root *host,
                         const struct nvl_container *c, struct nvl_error *err);
/* The host's number of a group of the container; false if it is not mapped. */
bool nvl_entry_point_gid(const void *entry, unsigned inside, unsigned *gid);
void nvl_entry_point_close(struct nvl_entry_point *e);

/* Joins the container's mount namespace and opens its root there. For a process of its own: between enter and
 * leave the host's paths mean nothing, except through open descriptors. */
int nvl_entry_point_enter(const struct nvl_entry_point *e, struct nvl_root *rootfs);
int nvl_entry_point_leave(const struct nvl_entry_point *e);
/* From here on files are looked up and made as the container's root, with only its rights. As the host's
 * root, a user's container could lead to files that are not the user's. */
int nvl_entry_point_become_root(const struct nvl_entry_point *e);
