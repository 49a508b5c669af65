/* How busy the GPUs are, and which programs use them, as ps and top show it. */
#pragma once

#include <jansson.h>

#include "cli/table.h"
#include "container/gpu_programs.h"
#include "host/nvml_readings.h"

struct nvl_table *nvl_program_table_new(void);
void nvl_program_row(struct nvl_table *table, const struct nvl_gpu_program *row);
/* {"container", "gpu", "mig_device", "pid", "kind", "gpu_percent", "memory_bytes", "program"} */
json_t *nvl_program_json(const struct nvl_gpu_program *row);

/* The GPUs and the programs of one moment. */
struct nvl_usage {
    struct nvl_host host;
    struct nvl_containers containers;
    struct nvl_gpu_programs programs;
    struct nvl_readings readings;
};
/* Fails as nvl_gpu_programs_read does. */
int nvl_usage_read(const struct nvl_root *root, struct nvl_usage *usage, struct nvl_error *err);
void nvl_usage_clear(struct nvl_usage *usage);

enum nvl_program_order { NVL_BY_MEMORY, /* the largest first */ NVL_BY_PID };
/* Prints a table of GPUs, and below it one of programs, which it sorts. */
void nvl_usage_print(const struct nvl_context *ctx, struct nvl_usage *usage, enum nvl_program_order order);
/* {"gpus", "processes"}: of each GPU its "readings", too, each null if it is not known, and null altogether
 * if NVML did not list the GPU. */
json_t *nvl_usage_json(const struct nvl_usage *usage);
