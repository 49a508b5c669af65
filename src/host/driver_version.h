/* The loaded kernel module: its version and flavor. Source: /proc/driver/nvidia/version (four shapes are
 * known, see tests/unit/test_host.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct nvl_error;
struct nvl_root;

#define NVL_VERSION_MAX 24 /* "550.163.01" and the like, with the NUL */

enum nvl_flavour { NVL_FLAVOUR_UNKNOWN, NVL_FLAVOUR_PROPRIETARY, NVL_FLAVOUR_OPEN };

struct nvl_driver_version {
    bool loaded;                   /* /proc/driver/nvidia/version exists */
    char version[NVL_VERSION_MAX]; /* "" if not loaded or not understood */
    enum nvl_flavour flavour;
};

/* The text of /proc/driver/nvidia/version: the version is the first D.D[.D] token after "Module". */
void nvl_driver_version_parse(const char *text, size_t len, struct nvl_driver_version *v);
/* 0 also if no module is loaded. */
int nvl_driver_version_read(const struct nvl_root *root, struct nvl_driver_version *v, struct nvl_error *err);
/* The same; *text gets the file's content, the caller's, NULL if no module is loaded. */
int nvl_driver_version_read_text(const struct nvl_root *root, struct nvl_driver_version *v, char **text,
                                 struct nvl_error *err);
const char *nvl_flavour_name(enum nvl_flavour flavour); /* "open", "proprietary", NULL */

/* Whether `s` (its first len bytes) is a driver version: two or three groups of digits separated by dots. */
bool nvl_is_version(const char *s, size_t len);
/* The driver's version in a library's name, "550.163.01" of "libcuda.so.550.163.01"; NULL if it has none.
 * NVIDIA numbers drivers with three digits: shorter numbers (libnvidia-nvvm.so.4.0.0,
 * libnvidia-egl-gbm.so.1.1.0) are the library's own. */
const char *nvl_name_version(const char *name);
/* Orders versions by their numbers: <0, 0, >0. */
int nvl_version_compare(const char *a, const char *b);
