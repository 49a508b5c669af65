/* Another driver than the installed one: a part of driver/advice.h, whose functions append lines, and none if
 * no fix is known. */
#pragma once

#include "driver/choose.h"

/* No driver is installed. */
void nvl_advise_install(const struct nvl_driver_need *need, struct nvl_strv *fix);
/* The installed driver does not build on this kernel: a newer one, or a kernel that has the module. */
void nvl_advise_newer(const struct nvl_driver_need *need, struct nvl_strv *fix);
/* The driver `version` does not fit the GPU in this way. */
void nvl_advise_gpu(const struct nvl_driver_need *need, const struct nvl_gpu *gpu, enum nvl_gpu_fit fit,
                    const char *version, struct nvl_strv *fix);
