/* The one question that /proc cannot answer: which GPU, GI and CI a MIG device's UUID names.
 * libnvidia-ml.so.1 is opened at run time, asked, and closed. Not for the hook. */
#pragma once

#include "host/gpu.h"

/* `uuid` is "MIG-…" as nvidia-smi -L prints it. `library` is the file to open (NULL: the loader's choice).
 * -ENOENT where NVML does not know it; -ENOSYS where NVML cannot be opened or started. */
int nvl_nvml_find_mig(const char *library, const char *uuid, char gpu_uuid[NVL_UUID_MAX], unsigned *gi,
                      unsigned *ci, struct nvl_error *err);
