/* Chooses the GPU of this host for an open selector: a start decides, not the config. */
#pragma once

#include "grant/resolve.h"

/* The first that fits, works, and is not in `resolved` yet, of those that the container `has` (one for each
 * GPU of the host; may be NULL) if there is one; NULL, and a line in `missing` that says why. */
const struct nvl_gpu *nvl_choose_gpu_for(const struct nvl_host *host, const struct nvl_selector *selector,
                                         const bool *has, const struct nvl_resolved *resolved,
                                         struct nvl_strv *missing);
/* Whether some start may choose this GPU for it: it fits, works, and is not in MIG mode. */
bool nvl_is_choice(const struct nvl_host *host, const struct nvl_selector *selector,
                   const struct nvl_gpu *gpu);
/* Whether the GPU's model has the words of `model:…`: in either case, whole ones ("T4" is not in "T400"). */
bool nvl_is_model_of(const struct nvl_gpu *gpu, const struct nvl_selector *selector);
