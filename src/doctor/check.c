/* Runs the checks whose needs are met. */
#include "doctor/check.h"

#include "doctor/container/shared.h"
#include "doctor/families.h"
#include "doctor/host/shared.h"

/* More than a container's config. */
#define DEEPER (NVL_NEEDS_DEPTH | NVL_NEEDS_ROOTFS | NVL_NEEDS_RUNNING)

/* The driver is installed, not loaded, and has no module on disk for this kernel. */
static bool lacks_module(const struct nvl_host_facts *facts)
{
    return !facts->host.driver.loaded && nvl_driver_is_installed(facts) && facts->installed.module == NULL &&
           facts->system.kernel != NULL;
}

static bool has_nvidia(const struct nvl_host_facts *facts)
{
    return facts->host.gpus.count > 0 && (facts->host.driver.loaded || facts->installed.version[0] != '\0');
}

static bool has_grants(const struct nvl_host_facts *facts)
{
    for (size_t i = 0; i < facts->n_users; i++)
        if (facts->users[i].has_grant)
            return true;
    return false;
}

static bool host_has(const struct nvl_host_facts *facts, enum nvl_needs need)
{
    const struct nvl_driver_version *driver = &facts->host.driver;

    switch (need) {
    case NVL_NEEDS_LOADED:
        return driver->loaded;
    case NVL_NEEDS_VERSION:
        return driver->loaded && driver->version[0] != '\0';
    case NVL_NEEDS_UNBUILT:
        return lacks_module(facts);
    case NVL_NEEDS_NVIDIA:
        return has_nvidia(facts);
    case NVL_NEEDS_GRANTS:
        return has_grants(facts);
    case NVL_SEES_DEEP:
    case NVL_OF_GUESTS:
        return true;
    default:
        return false;
    }
}

static bool container_has(const struct nvl_container_facts *facts, enum nvl_needs need)
{
    switch (need) {
    case NVL_NEEDS_PVE:
        return facts->config.dialect == NVL_DIALECT_PVE;
    case NVL_NEEDS_LXC:
        return facts->config.dialect == NVL_DIALECT_LXC;
    case NVL_NEEDS_GRANT:
        return facts->has_grant;
    case NVL_NEEDS_GPU_WISH:
        return nvl_wants_gpu(facts);
    case NVL_NEEDS_BUNDLE:
        return nvl_wants_bundle(facts);
    case NVL_NEEDS_DEPTH:
        return facts->depth == NVL_DEPTH_ALL;
    case NVL_NEEDS_ROOTFS:
        return facts->rootfs.fd >= 0;
    case NVL_NEEDS_RUNNING:
        return facts->init > 0 && facts->rootfs.fd >= 0;
    case NVL_OF_START:
        return true;
    default:
        return host_has(facts->host, need);
    }
}

/* `container` is NULL for a check of the host. */
static bool are_met(unsigned needs, const struct nvl_host_facts *host,
                    const struct nvl_container_facts *container)
{
    for (unsigned need = 1; need <= needs; need <<= 1)
        if ((needs & need) != 0 &&
            !(container != NULL ? container_has(container, need) : host_has(host, need)))
            return false;
    return true;
}

/* Adds what the checks of `wanted` need and do not have. `container` is NULL for the host. */
static void add_unmet(unsigned wanted, const struct nvl_host_facts *host,
                      const struct nvl_container_facts *container, struct nvl_findings *findings)
{
    unsigned unmet = 0;

    for (unsigned need = 1; need <= wanted; need <<= 1)
        if ((wanted & need) != 0 && !are_met(need, host, container))
            unmet |= need;
    if (unmet != 0)
        nvl_findings_unanswered(findings, NULL, unmet, container != NULL ? container->name : NULL);
}

void nvl_check_host(const struct nvl_host_facts *facts, struct nvl_findings *findings, size_t *asked)
{
    for (const struct nvl_check_family *family = nvl_check_families; family->name != NULL; family++) {
        nvl_autofree const struct nvl_check **checks = nvl_family_checks(family);
        for (size_t i = 0; checks[i] != NULL; i++) {
            if (checks[i]->scope != NVL_SCOPE_HOST)
                continue;
            if (are_met(checks[i]->needs, facts, NULL))
                checks[i]->host(checks[i], facts, findings);
            (*asked)++;
        }
    }
    add_unmet(NVL_NEEDS_TO_ANSWER & ~DEEPER, facts, NULL, findings);
}

void nvl_check_cluster(const struct nvl_cluster_facts *facts, struct nvl_findings *findings, size_t *asked)
{
    for (const struct nvl_check_family *family = nvl_check_families; family->name != NULL; family++) {
        nvl_autofree const struct nvl_check **checks = nvl_family_checks(family);
        for (size_t i = 0; checks[i] != NULL; i++) {
            if (checks[i]->scope != NVL_SCOPE_CLUSTER)
                continue;
            checks[i]->cluster(checks[i], facts, findings);
            (*asked)++;
        }
    }
}

/* If only the config was read, checks that need more are neither run nor counted. */
static bool is_within_depth(const struct nvl_check *check, const struct nvl_container_facts *facts)
{
    return facts->depth == NVL_DEPTH_ALL || (check->needs & DEEPER) == 0;
}

/* Those whose row has one of the bits of `flags`; 0: all. */
static void check_container(const struct nvl_container_facts *facts, unsigned flags,
                            struct nvl_findings *findings, size_t *asked)
{
    for (const struct nvl_check_family *family = nvl_check_families; family->name != NULL; family++) {
        nvl_autofree const struct nvl_check **checks = nvl_family_checks(family);
        for (size_t i = 0; checks[i] != NULL; i++) {
            if (checks[i]->scope != NVL_SCOPE_CONTAINER || !is_within_depth(checks[i], facts) ||
                (flags != 0 && (checks[i]->needs & flags) == 0))
                continue;
            if (are_met(checks[i]->needs, facts->host, facts))
                checks[i]->container(checks[i], facts, findings);
            (*asked)++;
        }
    }
}

void nvl_check_container(const struct nvl_container_facts *facts, struct nvl_findings *findings,
                         size_t *asked)
{
    check_container(facts, 0, findings, asked);
    if (!facts->host->host.driver
             .loaded) /* its nodes, numbers and versions are what most checks compare with */
        nvl_findings_unanswered(findings, NULL, 0, facts->name);
    else if (facts->depth == NVL_DEPTH_ALL)
        add_unmet(NVL_NEEDS_TO_ANSWER, facts->host, facts, findings);
    else /* it should have no GPU any more, so the rest is not asked */
        add_unmet(NVL_NEEDS_TO_ANSWER & ~DEEPER, facts->host, facts, findings);
}

void nvl_check_start(const struct nvl_container_facts *facts, struct nvl_findings *findings)
{
    size_t asked = 0;

    check_container(facts, NVL_OF_START, findings, &asked);
}
