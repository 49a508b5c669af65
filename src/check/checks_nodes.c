/* Device nodes, and the services that keep GPUs ready. */
#include "check/families.h"

static void check_uvm(const struct nvl_check *check, const struct nvl_host_facts *facts,
                      struct nvl_findings *findings)
{
    if (!facts->host.driver.loaded || facts->modules.nvidia_uvm || facts->host.majors.uvm >= 0)
        return;
    nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, NULL, "nvidia-uvm is not loaded");
}

const struct nvl_check nvl_checks_nodes[] = {
    {"uvm-not-loaded", "Is nvidia-uvm loaded?", NULL, check_uvm, NULL},
    {0},
};
