/* LD_LIBRARY_PATH as a container's first process has it: OCI images bring one in their environment, and many
 * have nothing else that leads their programs to the driver. */
#pragma once

#include "container/effective.h"

enum nvl_library_path_state {
    NVL_LIBRARY_PATH_UNSET,
    NVL_LIBRARY_PATH_FINDS,  /* it names the bundle's lib64 */
    NVL_LIBRARY_PATH_OTHERS, /* it is set, and names other folders alone */
};

struct nvl_library_path {
    enum nvl_library_path_state state;
    char *value;     /* NULL where it is unset */
    bool has_linker; /* the linker's configuration can name the bundle: it is found in any case */
    char *shadowed;  /* a libcuda.so.1 of the container that it finds before the bundle's; NULL for none */
};

/* From lxc.environment and, after it, lxc.environment.runtime, as liblxc sets them (start.c); what a config
 * inherits from the caller's environment counts as unset. `rootfs` may be NULL: then neither linker nor
 * shadow is known (false and NULL). */
void nvl_library_path_read(const struct nvl_effective *effective, const struct nvl_root *rootfs,
                           struct nvl_library_path *path);
/* Whether programs find the driver's libraries by their names, as far as this says. */
bool nvl_library_path_is_well(const struct nvl_library_path *path);
void nvl_library_path_clear(struct nvl_library_path *path);
