/* How busy a GPU is, how warm, and what slows it down: numbers that only NVML knows. */
#pragma once

#include <stdint.h>

#include "host/gpu.h"

enum nvl_reading {
    NVL_READING_MEMORY_USED, /* bytes */
    NVL_READING_MEMORY_TOTAL,
    NVL_READING_GPU_USE, /* percent of the time */
    NVL_READING_MEMORY_USE,
    NVL_READING_ENCODER_USE,
    NVL_READING_DECODER_USE,
    NVL_READING_POWER, /* milliwatts */
    NVL_READING_POWER_LIMIT,
    NVL_READING_TEMPERATURE, /* degrees Celsius */
    NVL_READING_SM_CLOCK,    /* MHz */
    NVL_READING_MEMORY_CLOCK,
    NVL_READING_THROTTLE,      /* a bit for each reason */
    NVL_READING_ECC_CORRECTED, /* errors since the driver was loaded */
    NVL_READING_ECC_UNCORRECTED,
    NVL_READINGS,
};

/* What the driver reports of one GPU. */
struct nvl_gpu_readings {
    char uuid[NVL_UUID_MAX];
    int64_t values[NVL_READINGS]; /* -1: not known; this GPU or this NVML does not have it */
};
struct nvl_readings {
    struct nvl_gpu_readings *items; /* in NVML's order */
    size_t count;
};

/* Adds what NVML says of a device. `library` is NVML as dlopen gave it, started, and `device` a handle of
 * it. */
void nvl_readings_take(struct nvl_readings *readings, void *library, void *device, const char *uuid);
void nvl_readings_clear(struct nvl_readings *readings);
/* Of the GPU with that UUID; NULL if NVML did not list it. */
const struct nvl_gpu_readings *nvl_readings_of(const struct nvl_readings *readings, const char *uuid);
/* Takes the lowest bit that has a name out of `mask` and gives the name, "sw_power_cap"; NULL if none is
 * left.
 */
const char *nvl_throttle_next(int64_t *mask);
