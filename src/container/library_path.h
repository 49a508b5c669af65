/* LD_LIBRARY_PATH as a container's first process gets it: OCI images set it in their environment, and in many
 * nothing else leads programs to the driver. */
#pragma once

#include "container/effective.h"

enum nvl_library_path_state {
    NVL_LIBRARY_PATH_UNSET,
    NVL_LIBRARY_PATH_FINDS,  /* it names the bundle's lib64 */
    NVL_LIBRARY_PATH_OTHERS, /* it is set, and names only other folders */
};

struct nvl_library_path {
    enum nvl_library_path_state state;
    char *value;     /* NULL if unset */
    bool has_linker; /* the linker's configuration can name the bundle, which is then found in any case */
    char *shadowed;  /* a libcuda.so.1 of the container that comes before the bundle's; NULL for none */
};

/* The line that sets it; NULL for none. */
const struct nvl_setting *nvl_library_path_setting(const struct nvl_effective *effective);
/* From lxc.environment and, after it, lxc.environment.runtime, as liblxc sets them (start.c); a variable that
 * a config inherits from the caller's environment counts as unset. `rootfs` may be NULL: then linker and
 * shadow are unknown (false and NULL). `home`: where the bundle is mounted. */
void nvl_library_path_read(const struct nvl_effective *effective, const struct nvl_root *rootfs,
                           const char *home, struct nvl_library_path *path);
/* Whether programs find the driver's libraries by name, as far as this tells. */
bool nvl_library_path_is_well(const struct nvl_library_path *path);
void nvl_library_path_clear(struct nvl_library_path *path);
