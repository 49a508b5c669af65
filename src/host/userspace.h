/* The driver's user-space files that are installed on the host: which versions, and in which folders. By the
 * linker cache and a list of known folders, for the layouts of Debian's alternatives, NVIDIA's .run
 * installer, and a private prefix (/usr/local/nvidia, /run/nvidia/driver, …). */
#pragma once

#include "base/text.h"
#include "host/driver_version.h"
#include "host/ldcache.h"

/* One folder that contains libraries of the driver of one version and class. */
struct nvl_library_dir {
    char *path;                    /* resolved: below the root, without links */
    enum nvl_elf_class elf;        /* 64 or 32 */
    char version[NVL_VERSION_MAX]; /* from the names libcuda.so.V / libnvidia-ml.so.V / libnvidia-*.so.V in it
                                    */
    struct nvl_strv names;         /* everything in it, sorted */
};

struct nvl_userspace {
    struct nvl_library_dir *dirs; /* by order of preference; a folder with two versions occurs twice */
    size_t n_dirs;
    struct nvl_strv versions; /* those of 64-bit libcuda or libnvidia-ml, newest first, each once */
};

int nvl_userspace_read(const struct nvl_root *root, struct nvl_userspace *us, struct nvl_error *err);
void nvl_userspace_clear(struct nvl_userspace *us);
