/* The families of checks, in the order of what blocks first. */
#pragma once

#include "doctor/check.h"

struct nvl_check_family {
    const char *name;                     /* "device nodes" */
    const struct nvl_check *const *lists; /* the rows of its files; ends with NULL */
};
extern const struct nvl_check_family nvl_check_families[]; /* ends with an entry without a name */

/* The checks of a family, ordered by their place; the list ends with NULL, and the caller frees it. */
const struct nvl_check **nvl_family_checks(const struct nvl_check_family *family);
/* A check's position among all; after all others if it belongs to no family. */
size_t nvl_check_rank(const struct nvl_check *check);

/* The rows of each file; each list ends with an entry without an id. The host: */
extern const struct nvl_check nvl_gpu_checks[], nvl_driver_checks[], nvl_module_checks[],
    nvl_library_checks[], nvl_node_checks[], nvl_service_checks[], nvl_boot_checks[], nvl_guest_checks[];
/* The cluster: */
extern const struct nvl_check nvl_cluster_checks[];
/* A container: */
extern const struct nvl_check nvl_grant_checks[], nvl_rule_checks[], nvl_major_checks[], nvl_mount_checks[],
    nvl_obstacle_checks[], nvl_line_checks[], nvl_start_checks[], nvl_running_checks[], nvl_file_checks[],
    nvl_libc_checks[], nvl_linker_checks[], nvl_user_checks[], nvl_node_maker_checks[], nvl_absent_checks[],
    nvl_elsewhere_checks[];
