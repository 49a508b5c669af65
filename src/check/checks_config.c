/* What a container's config says: a grant that cannot be read, and lines that do not do what they look like.
 */
#include "check/families.h"

static void check_grant_unreadable(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                   struct nvl_findings *findings)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    struct nvl_error err = {0};

    if (facts->has_grant || nvl_config_grant(&facts->config, &grant, &err) >= 0)
        return;
    const char *devices = nvl_config_environment(&facts->config, NVL_ENV_DEVICES);
    const char *capabilities = nvl_config_environment(&facts->config, NVL_ENV_CAPABILITIES);
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name,
                                            "the grant in its config cannot be read");
    nvl_finding_evidence(f, NVL_ENV_DEVICES "=%s\n" NVL_ENV_CAPABILITIES "=%s\n%s",
                         devices != NULL ? devices : "", capabilities != NULL ? capabilities : "",
                         err.message);
    nvl_finding_cause(f, "the start hook cannot tell which GPUs the container is to have, so it gives none");
    nvl_finding_fix(f, "nvlxc attach %s --gpu all", facts->name);
}

const struct nvl_check nvl_checks_config[] = {
    {"grant-unreadable", "Can the grant in its config be read?", NULL, NULL, check_grant_unreadable},
    {0},
};
