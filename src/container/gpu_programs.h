/* The programs that use the GPUs now, each with its container: for `ps`, `top` and `metrics`. */
#pragma once

#include "container/container.h"
#include "host/nvml.h"

/* One program on one GPU. */
struct nvl_gpu_program {
    const struct nvl_gpu_process *process;
    const struct nvl_gpu *gpu; /* NULL if /proc does not list it */
    char *container;           /* its unambiguous name; NULL for a program of the host */
    char *name;                /* NULL if it has ended meanwhile */
};

struct nvl_gpu_programs {
    struct nvl_gpu_processes processes;
    struct nvl_gpu_program *items; /* in the order of NVML */
    size_t count;
};

/* -ENODEV without a driver, -ENOENT without NVML of its version, -ENOSYS if NVML does not start,
 * -ETIMEDOUT if the driver does not answer: err says what to do. The list refers to `host`. `readings` are
 * those of the same moment; NULL: not asked for. */
int nvl_gpu_programs_read(const struct nvl_host *host, const struct nvl_containers *containers,
                          struct nvl_gpu_programs *programs, struct nvl_readings *readings,
                          struct nvl_error *err);
void nvl_gpu_programs_clear(struct nvl_gpu_programs *programs);
