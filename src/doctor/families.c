/* The table of checks: the families, in the order of what blocks first. */
#include "doctor/families.h"

const struct nvl_check *const nvl_check_families[] = {
    nvl_checks_gpu,    nvl_checks_driver, nvl_checks_nodes, nvl_checks_boot,
    nvl_checks_config, nvl_checks_start,  nvl_checks_files, NULL,
};

const char *const nvl_check_family_names[] = {
    "GPU", "driver", "device nodes", "boot and cluster", "config", "grant", "files",
};
_Static_assert(NVL_LENGTH(nvl_check_families) == NVL_LENGTH(nvl_check_family_names) + 1,
               "a name for each family");
