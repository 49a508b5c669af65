/* Why a library of the driver is not the one that it should be. */
#pragma once

#include "verify/step.h"

/* `complaint`: the loader's; NULL where all that is known is that the library was not found. */
void nvl_cause_of_library(const struct nvl_verify *v, const char *soname, const char *complaint,
                          struct nvl_step *step);
void nvl_cause_of_version(const struct nvl_verify *v, const char *path, const char *version,
                          struct nvl_step *step);
