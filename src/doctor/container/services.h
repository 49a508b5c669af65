/* The services of a container that use GPUs: as whom they run, and what their units close to them. */
#pragma once

#include "base/passwd.h"
#include "doctor/container/units.h"

struct nvl_container_facts;

/* Names of units without ".service", of the workloads that templates and people install; ends with NULL. */
extern const char *const nvl_gpu_services[];

/* The user that the service runs as, with all its groups. False for root, and if there is no such service or
 * user. A dynamic user has no name in /etc/passwd: its uid and gid are (uid_t)-1 and (gid_t)-1. */
bool nvl_service_user(const struct nvl_root *rootfs, const char *service, struct nvl_account *user);

/* What keeps the service from the GPU, though its container has it. */
struct nvl_service_closing {
    struct nvl_strv lines; /* "/etc/systemd/system/x.service:7: PrivateDevices=yes", and what that does */
    struct nvl_strv paths; /* the closed nodes */
    struct nvl_strv keys;  /* "PrivateDevices=yes" */
    struct nvl_strv fix;   /* lines of a drop-in that opens it; empty if there is none */
    bool is_in_force;      /* false: an unprivileged container's systemd cannot do what the lines say */
};
/* False if nothing does. */
bool nvl_service_is_closed(const struct nvl_container_facts *facts, const char *service,
                           struct nvl_service_closing *closing);
void nvl_service_closing_clear(struct nvl_service_closing *closing);

/* The host's commands that give the service a drop-in, in the running container, and restart it: one that
 * opens what is closed, one that adds the group. The caller frees. */
char *nvl_service_open(const struct nvl_container_facts *facts, const char *service,
                       const struct nvl_service_closing *closing);
char *nvl_service_join(const struct nvl_container_facts *facts, const char *service, const char *group);
