/* From an error of the driver to what is wrong here, by what was learned before. */
#pragma once

#include "verify/step.h"

void nvl_cause_of_nvml(const struct nvl_verify *v, int code, struct nvl_step *step);
void nvl_cause_of_cuda(const struct nvl_verify *v, int code, struct nvl_step *step);
/* "CUDA_ERROR_UNKNOWN" of 999; "" for a number that is not known. */
const char *nvl_cuda_name(int code);
