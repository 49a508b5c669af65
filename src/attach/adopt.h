/* Which GPUs a container has, whoever's lines give them: a grant, or lines that were written by hand, in the
 * config or in what it includes. Of the latter also what they come to as a grant: the request that `attach
 * --replace` takes where the command line names nothing. */
#pragma once

#include "container/container.h"
#include "container/effective.h"
#include "grant/resolve.h"
#include "container/target.h"

/* The GPUs that the lines by hand name: of NVIDIA_VISIBLE_DEVICES, or those whose nodes are named by path. A
 * LIST of no selectors where they do not say. `warnings` (NULL for none) gets what names nothing on this
 * host. */
void nvl_adopt_gpus(const struct nvl_effective *effective, const struct nvl_host *host,
                    struct nvl_grant *grant, struct nvl_strv *warnings);
/* The capabilities: of NVIDIA_DRIVER_CAPABILITIES, or compute and utility, with video where the lines bring
 * in the driver's libraries, with graphics where they bring in the nodes that it needs. 0 where there are
 * neither lines by hand nor a grant. */
unsigned nvl_adopt_capabilities(const struct nvl_effective *effective);

/* What a container has of this host's GPUs. */
struct nvl_holding {
    bool is_by_hand, is_exclusive;
    struct nvl_grant grant;       /* the container's, or what its lines by hand come to */
    struct nvl_resolved resolved; /* no GPUs where it has none */
};
/* -errno where the config cannot be read or understood, or an include of it cannot: then it is not known. */
int nvl_holding_read(const struct nvl_container *c, const struct nvl_host *host, struct nvl_holding *holding,
                     struct nvl_error *err);
void nvl_holding_clear(struct nvl_holding *holding);

/* An exclusive grant is refused (-EBUSY) where another container of this node has one of its GPUs, by a grant
 * or by hand; another's exclusive grant of one of them is a warning. */
int nvl_sharing_check(const struct nvl_target *target, const struct nvl_host *host,
                      const struct nvl_grant *grant, const struct nvl_resolved *resolved,
                      struct nvl_strv *warnings, struct nvl_error *err);
