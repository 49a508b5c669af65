/* The table of checks: the families, in the order of what blocks first, and the files that contain their
 * rows. */
#include "doctor/families.h"

#define LISTS(...)                                                                                           \
    (const struct nvl_check *const[])                                                                        \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }

const struct nvl_check_family nvl_check_families[] = {
    {"GPU", LISTS(nvl_gpu_checks)},
    {"driver", LISTS(nvl_driver_checks, nvl_module_checks, nvl_library_checks)},
    {"device nodes", LISTS(nvl_node_checks, nvl_service_checks)},
    {"boot and cluster", LISTS(nvl_boot_checks, nvl_guest_checks)},
    {"config", LISTS(nvl_grant_checks, nvl_line_checks, nvl_mount_checks, nvl_rule_checks, nvl_major_checks,
                     nvl_absent_checks, nvl_obstacle_checks, nvl_node_maker_checks)},
    {"grant", LISTS(nvl_start_checks, nvl_running_checks, nvl_elsewhere_checks)},
    {"nodes", LISTS(nvl_cluster_checks)},
    {"files", LISTS(nvl_file_checks, nvl_libc_checks, nvl_linker_checks, nvl_user_checks)},
    {0},
};

static int compare_places(const void *a, const void *b)
{
    const struct nvl_check *const *x = a, *const *y = b;

    return (*x)->place < (*y)->place ? -1 : (*x)->place > (*y)->place;
}

const struct nvl_check **nvl_family_checks(const struct nvl_check_family *family)
{
    const struct nvl_check **checks = NULL;
    size_t count = 0;

    for (size_t i = 0; family->lists[i] != NULL; i++)
        for (const struct nvl_check *c = family->lists[i]; c->id != NULL; c++)
            *NVL_APPEND(checks, count) = c;
    if (count > 0)
        qsort(checks, count, sizeof *checks, compare_places);
    *NVL_APPEND(checks, count) = NULL;
    return checks;
}

static bool has_check(const struct nvl_check_family *family, const struct nvl_check *check)
{
    for (size_t i = 0; family->lists[i] != NULL; i++)
        for (const struct nvl_check *c = family->lists[i]; c->id != NULL; c++)
            if (c == check)
                return true;
    return false;
}

size_t nvl_check_rank(const struct nvl_check *check)
{
    size_t before = 0;

    for (const struct nvl_check_family *family = nvl_check_families; family->name != NULL;
         family++, before += UINT16_MAX)
        if (has_check(family, check))
            return before + check->place;
    return before;
}
