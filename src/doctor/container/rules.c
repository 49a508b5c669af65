/* Device rules of a config: rules without effect, rules that deny too much, missing rules of a grant, and
 * rules that allow what was not granted. */
#include "doctor/container/shared.h"
#include "doctor/families.h"
#include "container/device_rules.h"

static void check_rules_without_effect(const struct nvl_check *check, const struct nvl_container_facts *facts,
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
                                                 "its device rules have no effect");
    if (f == NULL)
        return;
    nvl_finding_cause(f, is_users ? "LXC makes device filters only for root's containers; a user's container "
                                    "may open every device that it has"
                                  : "an unprivileged CT may open every device except the console; rules that "
                                    "allow more change nothing, whatever numbers they name");
    nvl_finding_fix(f, "you can remove these lines from %s", facts->container->config_edit);
}

/* Without a list, a first allow rule makes one and denies the rest. */
static void check_rules_deny_rest(const struct nvl_check *check, const struct nvl_container_facts *facts,
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
    nvl_finding_cause(f, "without a list of devices every device opens; the first rule that allows one makes "
                         "a list, and everything that it does not name is denied: /dev/null gives EPERM");
    if (is_ours) {
        nvl_autofree char *again = nvl_attach_again(facts);
        nvl_finding_fix(f, "%s", again);
    } else {
        nvl_finding_fix(f, "remove these lines from %s: the devices open without them",
                        facts->container->config_edit);
    }
}

static bool is_granted_node(const struct nvl_container_facts *facts, const char *path)
{
    for (size_t i = 0; i < facts->resolved.n_nodes; i++)
        if (strcmp(facts->resolved.nodes[i].path, path) == 0)
            return true;
    return false;
}

/* nvlxc's rules for nodes outside the grant. */
static void find_strange_rules(const struct nvl_container_facts *facts, struct nvl_strv *evidence,
                               struct nvl_strv *paths)
{
    for (size_t i = 0; i < facts->effective.count; i++) {
        const struct nvl_setting *rule = &facts->effective.items[i];
        if (rule->owner != NVL_OWNER_NVLXC || !nvl_setting_allows(rule))
            continue;
        nvl_autofree char *path = nvl_xstrndup(rule->value, strcspn(rule->value, " \t"));
        if (is_granted_node(facts, path))
            continue;
        nvl_add_setting_evidence(evidence, facts, i);
        nvl_strv_push(paths, path);
    }
}

/* A GPU whose own node no rule names got another minor: the rules for its old one remain. */
static void explain_strange_rules(struct nvl_finding *f, const struct nvl_container_facts *facts)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv ignored = {0}, paths = {0};

    find_strange_rules(facts, &ignored, &paths);
    for (size_t i = 0; i < paths.count; i++)
        nvl_finding_explains(f, NVL_SUBJECT_NODE, paths.items[i]);
}

static void check_grant_rules(const struct nvl_check *check, const struct nvl_container_facts *facts,
                              struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, paths = {0};
    nvl_auto(nvl_device_rules_clear) struct nvl_device_rules rules = {0};
    bool is_gpu = false;

    if (facts->filter != NVL_FILTER_ALLOW || nvl_facts_rules(facts, &rules) < 0)
        return;
    for (size_t i = 0; i < facts->resolved.n_nodes; i++) {
        const struct nvl_node *node = &facts->resolved.nodes[i];
        if (nvl_device_rules_allow(&rules, node->path, node->major, node->minor))
            continue;
        is_gpu |= node->kind == NVL_NODE_GPU;
        nvl_strv_push(&paths, node->path);
        nvl_strv_pushf(&evidence, "no " NVL_KEY_ALLOW " for %s (%d:%d)", node->path, node->major,
                       node->minor);
    }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                                                 "its device filter denies nodes of its grant");
    if (f == NULL)
        return;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &paths);
    if (is_gpu)
        explain_strange_rules(f, facts);
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(
        f, "the container has an allow-list of devices, and the rules that were written for its GPU do not "
           "name the GPU's current nodes; opening them gives EPERM, and nvidia-smi says \"Unknown Error\"");
    nvl_finding_fix(f, "%s", again);
}

/* Rules of a grant whose GPU has another minor now: they open another GPU. */
static void check_rule_other_gpu(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                 struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, paths = {0};

    if (facts->resolved.missing.count > 0)
        return;
    find_strange_rules(facts, &evidence, &paths);
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_WARNING, facts, &evidence,
                                                 "its device rules name nodes outside its grant");
    if (f == NULL)
        return;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &paths);
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(f, "a GPU's minor changes when cards or kernels do; these rules let the container open "
                         "devices that it was not granted");
    nvl_finding_fix(f, "%s", again);
}

const struct nvl_check nvl_rule_checks[] = {
    {"rules-deny-rest", "Do its device rules leave the ordinary devices open?", 60, 0, NULL,
     NVL_OF_CONTAINER(check_rules_deny_rest)},
    {"grant-rule-missing", "Does its device filter allow the nodes of its grant?", 110, NVL_NEEDS_GRANT,
     "rules-deny-rest grant-incomplete", NVL_OF_CONTAINER(check_grant_rules)},
    {"rule-other-gpu", "Do its device rules name only its own GPUs?", 150, NVL_NEEDS_GRANT,
     "grant-rule-missing", NVL_OF_CONTAINER(check_rule_other_gpu)},
    {"rules-without-effect", "Do its device rules have an effect?", 180, 0, NULL,
     NVL_OF_CONTAINER(check_rules_without_effect)},
    {0},
};
