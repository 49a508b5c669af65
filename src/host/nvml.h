/* What /proc cannot answer: which GPU, GI and CI a MIG device's UUID names; which programs use a GPU, and how
 * busy it is.
 * libnvidia-ml.so.1 is opened at run time, asked, and closed. Not for the hook. */
#pragma once

#include <sys/types.h>

#include "host/host.h"
#include "host/nvml_readings.h"

/* NVML of the loaded version: its path, in the bundle or the host's own folders; the caller frees. -EXDEV if
 * `host` is a captured one: nothing of a capture is ever loaded, since its code would run as the caller.
 * -ENOENT if this version is not installed. */
int nvl_nvml_find(const struct nvl_host *host, char **path, struct nvl_error *err);

struct nvl_gpu_process {
    char uuid[NVL_UUID_MAX]; /* of the GPU */
    int gi, ci;              /* of its MIG device; -1 if it is in none */
    pid_t pid;               /* of the host */
    bool graphics;           /* false: compute, including MPS */
    int64_t memory;          /* bytes of the GPU's; -1 if the driver does not report it */
    int use; /* percent of the last seconds in which it computed; -1 if the driver does not report it */
};
struct nvl_gpu_processes {
    struct nvl_gpu_process *items; /* by GPU, in NVML's order */
    size_t count;
};

/* The processes that use the GPUs now, and each GPU's readings (NULL: not asked for). -ENOSYS if NVML cannot
 * be opened or started, or is too old to list processes (before 470). */
int nvl_nvml_processes(const char *library, struct nvl_gpu_processes *processes,
                       struct nvl_readings *readings, struct nvl_error *err);
void nvl_gpu_processes_clear(struct nvl_gpu_processes *processes);

/* `uuid` is "MIG-…" as nvidia-smi -L prints it. `library` is the file to open (NULL: the loader's choice).
 * -ENOENT if NVML does not know it; -ENOSYS if NVML cannot be opened or started. */
int nvl_nvml_find_mig(const char *library, const char *uuid, char gpu_uuid[NVL_UUID_MAX], unsigned *gi,
                      unsigned *ci, struct nvl_error *err);
