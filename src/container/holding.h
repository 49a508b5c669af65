/* Which GPUs a container has, whichever lines give them: a grant, or lines written by hand in the config or
 * in what it includes. Lines by hand are also translated into a grant: the request that `attach --replace`
 * uses if the command line names nothing. */
#pragma once

#include "container/container.h"
#include "container/effective.h"
#include "grant/resolve.h"

/* The GPUs that the lines by hand name: those of NVIDIA_VISIBLE_DEVICES, or those whose nodes they name by
 * path. A LIST of no selectors if the lines do not say. `warnings` (NULL for none) gets names that match
 * nothing on this host. */
void nvl_adopt_gpus(const struct nvl_effective *effective, const struct nvl_host *host,
                    struct nvl_grant *grant, struct nvl_strv *warnings);
/* The capabilities: those of NVIDIA_DRIVER_CAPABILITIES, or compute and utility, plus video if the lines
 * bring in the driver's libraries, plus graphics if they bring in the nodes that it needs. 0 if there are
 * neither lines by hand nor a grant. */
unsigned nvl_adopt_capabilities(const struct nvl_effective *effective);

/* What a container has of this host's GPUs. */
struct nvl_holding {
    bool is_by_hand, is_exclusive;
    struct nvl_grant grant;       /* the container's, or what its lines by hand amount to */
    struct nvl_resolved resolved; /* no GPUs if it has none */
};
/* Nothing if the container was removed meanwhile. -errno if the config or one of its includes cannot be read
 * or parsed: then the answer is unknown. */
int nvl_holding_read(const struct nvl_container *c, const struct nvl_host *host, struct nvl_holding *holding,
                     struct nvl_error *err);
void nvl_holding_clear(struct nvl_holding *holding);
/* Whether it includes this GPU (mig NULL: all or any part of it), or this MIG device. The whole GPU does not
 * include its MIG devices: each has nodes of its own. */
bool nvl_holding_has(const struct nvl_holding *holding, const struct nvl_gpu *gpu, const struct nvl_mig *mig);

/* The first of these GPUs that the other one has, too; NULL. */
const struct nvl_resolved_gpu *nvl_holding_shares(const struct nvl_resolved *resolved,
                                                  const struct nvl_holding *other);
/* For messages, "GPU 0, …", "MIG device 1/0 of GPU 0, …"; the caller frees. */
char *nvl_holding_gpu_text(const struct nvl_resolved_gpu *gpu);
