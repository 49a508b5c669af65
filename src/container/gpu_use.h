/* Whether a container has used a GPU since the boot: what tells a GPU that was never used, whose UUID the
 * driver does not say yet, from one that does not come up. */
#pragma once

#include "container/container.h"
#include "grant/grant.h"
#include "host/gpu.h"

/* Marks GPUs without a UUID as used where the container runs and was started with a grant that can mean them:
 * its start hook has opened them. Whether there was one. */
bool nvl_mark_gpus_used(const struct nvl_root *root, const struct nvl_container *c,
                        const struct nvl_grant *grant, struct nvl_gpus *gpus);
