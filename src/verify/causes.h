/* From an error of the driver to its cause here, with what earlier steps learned. */
#pragma once

#include "verify/step.h"

void nvl_cause_of_nvml(const struct nvl_verify *v, int code, struct nvl_step *step);
void nvl_cause_of_cuda(const struct nvl_verify *v, int code, struct nvl_step *step);
/* "CUDA_ERROR_UNKNOWN" for 999; "" for an unknown number. */
const char *nvl_cuda_name(int code);
