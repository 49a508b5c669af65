/* What a container's grant gives it now: whether its GPUs are here, and whether it can open their nodes. */
#include "check/families.h"

static void check_gpu_missing(const struct nvl_check *check, const struct nvl_container_facts *facts,
                              struct nvl_findings *findings)
{
    nvl_autofree char *missing = nvl_strv_join(&facts->resolved.missing, "\n");

    if (facts->resolved.missing.count == 0)
        return;
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name,
                                            "it is granted a GPU that this host does not have");
    nvl_finding_evidence(f, "%s", missing);
}

const struct nvl_check nvl_checks_start[] = {
    {"grant-gpu-missing", "Are the GPUs of its grant on this host?", NULL, NULL, check_gpu_missing},
    {0},
};
