/* Why a library of the driver is not the right one. */
#pragma once

#include "verify/step.h"

/* `complaint`: the loader's message; NULL if only the absence of the library is known. */
void nvl_cause_of_library(const struct nvl_verify *v, const char *soname, const char *complaint,
                          struct nvl_step *step);
void nvl_cause_of_version(const struct nvl_verify *v, const char *path, const char *version,
                          struct nvl_step *step);
