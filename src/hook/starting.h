/* What pre-start knows of the container: liblxc sets its environment only later. */
#pragma once

#include "grant/resolve.h"
#include "hook/hook.h"

struct nvl_starting {
    bool has_grant;
    struct nvl_grant grant;
    bool has_owner;
    uid_t uid; /* the host's ids of its root */
    gid_t gid;
};

/* From LXC_CONFIG_FILE. What cannot be read is left out. */
void nvl_starting_read(const struct nvl_root *host, const struct nvl_hook_call *call,
                       struct nvl_starting *starting);
void nvl_starting_clear(struct nvl_starting *starting);

/* Makes the container's own nodes (rootfs/own_nodes.h). */
void nvl_starting_make_nodes(const struct nvl_starting *starting, const struct nvl_host *host,
                             const struct nvl_hook_call *call, struct nvl_report *report);
