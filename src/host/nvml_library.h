/* NVML opened for one question: its library and the functions that the question takes. Not public: for this
 * room. */
#pragma once

#include "base/error.h"

/* Of nvml.h: handles are pointers, results are numbers. */
typedef struct nvmlDevice_st *nvl_nvml_device;
enum {
    NVL_NVML_SUCCESS = 0,
    NVL_NVML_INVALID_ARGUMENT = 2,
    NVL_NVML_NOT_FOUND = 6,
    NVL_NVML_INSUFFICIENT_SIZE = 7,
};

struct nvl_nvml {
    void *library;
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error_string)(int);
};

/* Opens and starts it. -ENOSYS, with why, where either fails. */
int nvl_nvml_start(struct nvl_nvml *nvml, const char *library, struct nvl_error *err);
void nvl_nvml_stop(struct nvl_nvml *nvml);
/* A function of it; NULL where this version has none. */
void *nvl_nvml_function(const struct nvl_nvml *nvml, const char *name);
