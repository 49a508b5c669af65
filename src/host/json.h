/* A GPU and the driver as JSON: as the commands print them, and as a node of a cluster publishes them. The
 * keys are those of docs/json. */
#pragma once

#include <jansson.h>

struct nvl_driver_version;
struct nvl_gpu;
struct nvl_mig;

/* A string with '?' for everything that is not UTF-8: for text from outside the program. */
json_t *nvl_json_text(const char *s);
/* The same, or null for NULL and "". */
json_t *nvl_json_string(const char *s);
/* An integer, or null if it is negative. */
json_t *nvl_json_unsigned(long long n);

/* {"index", "uuid", "minor", "pci", "model", "kernel_driver", "state"} */
json_t *nvl_json_gpu(const struct nvl_gpu *gpu);
/* {"uuid", "gi", "ci"} */
json_t *nvl_json_mig_device(const struct nvl_gpu *gpu, const struct nvl_mig *mig);
/* {"loaded", "version", "flavour"} */
json_t *nvl_json_driver(const struct nvl_driver_version *driver);
