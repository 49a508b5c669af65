/* What /proc cannot answer: which GPU, GI and CI a MIG device's UUID names; which programs use a GPU.
 * libnvidia-ml.so.1 is opened at run time, asked, and closed. Not for the hook. */
#pragma once

#include <sys/types.h>

#include "host/host.h"

/* NVML of the loaded version: its path, in the bundle or the host's own folders; the caller frees. -EXDEV
 * where `host` is a captured one: nothing of a capture is ever loaded, since its code would run as the
 * caller. -ENOENT where this version of it is not installed. */
int nvl_nvml_find(const struct nvl_host *host, char **path, struct nvl_error *err);

struct nvl_gpu_process {
    char uuid[NVL_UUID_MAX]; /* of the GPU */
    int gi, ci;              /* of its MIG device; -1 where it is in none */
    pid_t pid;               /* of the host */
    bool graphics;           /* else compute, MPS among it */
    int64_t memory;          /* bytes of the GPU's; -1 where the driver does not say */
};
struct nvl_gpu_processes {
    struct nvl_gpu_process *items; /* by GPU, as NVML counts */
    size_t count;
};

/* Who uses the GPUs now. -ENOSYS where NVML cannot be opened or started, or is too old (before 470). */
int nvl_nvml_processes(const char *library, struct nvl_gpu_processes *processes, struct nvl_error *err);
void nvl_gpu_processes_clear(struct nvl_gpu_processes *processes);

/* `uuid` is "MIG-…" as nvidia-smi -L prints it. `library` is the file to open (NULL: the loader's choice).
 * -ENOENT where NVML does not know it; -ENOSYS where NVML cannot be opened or started. */
int nvl_nvml_find_mig(const char *library, const char *uuid, char gpu_uuid[NVL_UUID_MAX], unsigned *gi,
                      unsigned *ci, struct nvl_error *err);
