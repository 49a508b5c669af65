/* The entry into a running container: its namespaces, its cgroup, its AppArmor profile, what its init may
 * do. */
#pragma once

#include "base/root.h"

struct nvl_inside {
    pid_t init;
    int pidfd;
    int namespaces;        /* CLONE_NEW… that it does not share with the host */
    int cgroup;            /* the folder that commands run in */
    int parent;            /* the folder above, if `cgroup` is one of our own; else -1 */
    char name[32];         /* of our own */
    char *profile;         /* AppArmor's, NULL for none */
    uint64_t capabilities; /* bounding set of its init */
};
#define NVL_INSIDE_NONE ((struct nvl_inside){.pidfd = -1, .cgroup = -1, .parent = -1})

/* `is_mapped`: the container is confined by, among others, its own user namespace; without one it is
 * refused. */
int nvl_inside_open(struct nvl_inside *in, const struct nvl_root *host, pid_t init, bool is_mapped,
                    struct nvl_error *err);
void nvl_inside_close(struct nvl_inside *in);

/* Kills every process in the cgroup; each ends when it is scheduled, not before. */
void nvl_cgroup_kill(int cgroup);
/* Whether its cgroup.events has that line: "populated 1" (a process that has not ended), "frozen 1". */
bool nvl_cgroup_is(int cgroup, const char *event);
