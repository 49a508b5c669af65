/* What the next boot will bring; the hook; the cluster. */
#include "check/families.h"

#include "base/paths.h"

static void check_hook(const struct nvl_check *check, const struct nvl_host_facts *facts,
                       struct nvl_findings *findings)
{
    if (nvl_root_exists(facts->root, NVL_HOOK_PROGRAM))
        return;
    struct nvl_finding *f =
        nvl_finding_add(findings, check, NVL_SEVERITY_NOTE, NULL, "the start hook is not on this host");
    nvl_finding_evidence(f, "%s does not exist", NVL_HOOK_PROGRAM);
}

const struct nvl_check nvl_checks_boot[] = {
    {"hook-missing", "Is the start hook here?", NULL, check_hook, NULL},
    {0},
};
