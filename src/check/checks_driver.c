/* The kernel module, the libraries, the bundle, and whether they fit. */
#include "check/families.h"

static void check_absent(const struct nvl_check *check, const struct nvl_host_facts *facts,
                         struct nvl_findings *findings)
{
    if (facts->host.driver.loaded || facts->userspace.versions.count > 0)
        return;
    nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, NULL, "NVIDIA's driver is not installed");
}

const struct nvl_check nvl_checks_driver[] = {
    {"driver-absent", "Is NVIDIA's driver installed?", "gpu-absent", check_absent, NULL},
    {0},
};
