/* Device rules of a config: such as do nothing, such as deny too much, those of a grant that are missing, and
 * those that let a container have what it was not granted. */
#include "doctor/container/shared.h"
#include "container/device_rules.h"

void nvl_check_rules_without_effect(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                    struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    bool is_users = facts->container->user != NULL;

    if (facts->filter != NVL_FILTER_DENY && !is_users)
        return;
    for (size_t i = 0; i < facts->effective.count; i++)
        if (nvl_setting_allows(&facts->effective.items[i]) &&
            facts->effective.items[i].owner != NVL_OWNER_OTHER)
            nvl_add_setting_evidence(&evidence, facts, i);
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_NOTE, facts, &evidence,
                                                 "its device rules do nothing");
    if (f == NULL)
        return;
    nvl_finding_cause(f, is_users
                             ? "LXC makes device filters for root's containers alone; in a user's container "
                               "every device that is there may be opened"
                             : "an unprivileged CT may open every device but the console; rules that allow "
                               "more change nothing, whatever numbers they name");
    nvl_finding_fix(f, "these lines can be taken out of %s", facts->container->config_path);
}

/* A first allow rule where there was no list makes one, and denies the rest. */
void nvl_check_rules_deny_rest(const struct nvl_check *check, const struct nvl_container_facts *facts,
                               struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    nvl_auto(nvl_device_rules_clear) struct nvl_device_rules rules = {0};
    bool is_ours = true;

    if (nvl_facts_rules(facts, &rules) < 0 || nvl_device_rules_allow(&rules, "/dev/null", 1, 3))
        return;
    for (size_t i = 0; i < facts->effective.count; i++)
        if (nvl_setting_allows(&facts->effective.items[i]) &&
            facts->effective.items[i].owner != NVL_OWNER_OTHER) {
            nvl_add_setting_evidence(&evidence, facts, i);
            is_ours = is_ours && facts->effective.items[i].owner == NVL_OWNER_NVLXC;
        }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                                                 "its device rules deny everything but NVIDIA's devices");
    if (f == NULL)
        return;
    nvl_finding_cause(f,
                      "without a list of devices every device opens; the first rule that allows one makes a "
                      "list, and what it does not name is denied: /dev/null gives EPERM");
    if (is_ours) {
        nvl_autofree char *again = nvl_attach_again(facts);
        nvl_finding_fix(f, "%s", again);
    } else {
        nvl_finding_fix(f, "take these lines out of %s: without them the devices open too",
                        facts->container->config_path);
    }
}

void nvl_check_grant_rules(const struct nvl_check *check, const struct nvl_container_facts *facts,
                           struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    nvl_auto(nvl_device_rules_clear) struct nvl_device_rules rules = {0};

    if (!facts->has_grant || facts->filter != NVL_FILTER_ALLOW || nvl_facts_rules(facts, &rules) < 0)
        return;
    for (size_t i = 0; i < facts->resolved.n_nodes; i++) {
        const struct nvl_node *node = &facts->resolved.nodes[i];
        if (!nvl_device_rules_allow(&rules, node->path, node->major, node->minor))
            nvl_strv_pushf(&evidence, "no " NVL_KEY_ALLOW " for %s (%d:%d)", node->path, node->major,
                           node->minor);
    }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                                                 "its device filter denies nodes of its grant");
    if (f == NULL)
        return;
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(
        f, "the container has an allow-list of devices, and the rules that were written for its GPU "
           "do not name the nodes that it has now; opening them gives EPERM, and nvidia-smi says "
           "\"Unknown Error\"");
    nvl_finding_fix(f, "%s", again);
}

static bool is_granted_node(const struct nvl_container_facts *facts, const char *path)
{
    for (size_t i = 0; i < facts->resolved.n_nodes; i++)
        if (strcmp(facts->resolved.nodes[i].path, path) == 0)
            return true;
    return false;
}

/* Rules of a grant whose GPU has another minor meanwhile: they open somebody else's. */
void nvl_check_rule_other_gpu(const struct nvl_check *check, const struct nvl_container_facts *facts,
                              struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};

    if (!facts->has_grant || facts->resolved.missing.count > 0)
        return;
    for (size_t i = 0; i < facts->effective.count; i++) {
        if (facts->effective.items[i].owner != NVL_OWNER_NVLXC ||
            !nvl_setting_allows(&facts->effective.items[i]))
            continue;
        nvl_autofree char *path =
            nvl_xstrndup(facts->effective.items[i].value, strcspn(facts->effective.items[i].value, " \t"));
        if (!is_granted_node(facts, path))
            nvl_add_setting_evidence(&evidence, facts, i);
    }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_WARNING, facts, &evidence,
                                                 "its device rules name nodes that are not of its grant");
    if (f == NULL)
        return;
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(f, "a GPU's minor changes when cards or kernels do; these rules let the container open "
                         "what was not given to it");
    nvl_finding_fix(f, "%s", again);
}
