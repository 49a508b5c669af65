/* Is there a GPU, and what holds it. */
#include "check/families.h"

static void check_absent(const struct nvl_check *check, const struct nvl_host_facts *facts,
                         struct nvl_findings *findings)
{
    if (facts->host.gpus.count > 0)
        return;
    struct nvl_finding *f =
        nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, NULL, "this host has no NVIDIA GPU");
    nvl_finding_evidence(f, "no device of vendor 0x10de and class display in /sys/bus/pci/devices");
}

const struct nvl_check nvl_checks_gpu[] = {
    {"gpu-absent", "Is there an NVIDIA GPU?", NULL, check_absent, NULL},
    {0},
};
