/* What pre-start knows of the container: liblxc sets its environment only later. */
#pragma once

#include "container/effective.h"
#include "grant/resolve.h"
#include "hook/hook.h"
#include "hook/nodes.h"

struct nvl_starting {
    struct nvl_config config;
    struct nvl_effective effective;
    struct nvl_error incomplete; /* where an include could not be read */
    bool has_grant;
    struct nvl_grant grant;
};

/* From LXC_CONFIG_FILE. What cannot be read is left out. */
void nvl_starting_read(const struct nvl_root *host, const struct nvl_hook_call *call,
                       struct nvl_starting *starting);
void nvl_starting_clear(struct nvl_starting *starting);

/* Makes the container's own nodes (inject/node_copies.h), where it needs any. `seen` are nodes of the host.
 */
void nvl_starting_make_nodes(const struct nvl_starting *starting, const struct nvl_host *host,
                             const struct nvl_seen_nodes *seen, const struct nvl_hook_call *call,
                             struct nvl_outcome *report);
