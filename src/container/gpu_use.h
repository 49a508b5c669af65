/* Whether a container has used a GPU since boot: distinguishes an unused GPU, whose UUID the driver does not
 * give yet, from one that does not come up. */
#pragma once

#include "container/container.h"
#include "grant/grant.h"
#include "host/gpu.h"

/* Marks GPUs without a UUID as used if the container runs and started with a grant that can mean them: its
 * start hook has opened them. Returns whether there was one. */
bool nvl_mark_gpus_used(const struct nvl_root *root, const struct nvl_container *c,
                        const struct nvl_grant *grant, struct nvl_gpus *gpus);
