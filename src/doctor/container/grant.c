/* The lines of a grant: whether they can be read and are complete, and whether another hook interferes. */
#include "doctor/container/shared.h"
#include "doctor/families.h"

/* The command for what is readable: the GPUs, if only the capabilities are wrong. */
static char *attach_readable(const struct nvl_container_facts *facts, const char *devices, const char *gpus)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    struct nvl_container_facts as_if = *facts;

    as_if.has_grant = nvl_grant_parse(&grant, devices, gpus, NULL, NULL) == 0;
    as_if.grant = grant;
    return nvl_attach_again(&as_if);
}

static void check_grant_unreadable(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                   struct nvl_findings *findings)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    struct nvl_error err = {0};

    if (facts->has_grant || nvl_effective_grant(&facts->effective, &grant, &err) >= 0)
        return;
    const char *devices = nvl_effective_variable(&facts->effective, NVL_KEY_ENVIRONMENT, NVL_ENV_DEVICES);
    const char *gpus = nvl_effective_variable(&facts->effective, NVL_KEY_ENVIRONMENT, NVL_ENV_GPUS);
    const char *capabilities =
        nvl_effective_variable(&facts->effective, NVL_KEY_ENVIRONMENT, NVL_ENV_CAPABILITIES);
    nvl_autofree char *again = attach_readable(facts, devices, gpus);
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name,
                                            "nvlxc cannot read the grant in its config");
    nvl_finding_evidence(f, NVL_ENV_DEVICES "=%s\n%s%s%s" NVL_ENV_CAPABILITIES "=%s\n%s",
                         devices != NULL ? devices : "", gpus != NULL ? NVL_ENV_GPUS "=" : "",
                         gpus != NULL ? gpus : "", gpus != NULL ? "\n" : "",
                         capabilities != NULL ? capabilities : "", err.message);
    nvl_finding_cause(f, "the start hook cannot tell what the container should get, and gives it nothing");
    nvl_finding_fix(f, "%s\nadd --capabilities, unless compute and utility are meant", again);
}

static bool has_slot(const struct nvl_container_facts *facts, enum nvl_grant_slot slot)
{
    for (size_t i = 0; i < facts->effective.count; i++)
        if (facts->effective.items[i].owner == NVL_OWNER_NVLXC &&
            nvl_grant_slot(facts->effective.items[i].key, facts->effective.items[i].value) == slot)
            return true;
    return false;
}

/* Whether a line of the delivery that the grant names brings the node in, or its folder. */
static bool is_brought_in(const struct nvl_container_facts *facts, const char *node)
{
    bool found = facts->grant.delivery.nodes == NVL_NODES_HOOK;

    for (size_t i = 0; i < facts->effective.count && !found; i++) {
        nvl_auto(nvl_dev_entry_clear) struct nvl_dev_entry p = {0};
        nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry mount = {0};
        const char *path = NULL;
        if (nvl_setting_dev(&facts->effective.items[i], &p))
            path = p.path;
        else if (nvl_setting_mount(&facts->effective.items[i], &mount))
            path = mount.source;
        found = path != NULL && nvl_has_prefix(node, path) &&
                (node[strlen(path)] == '\0' || node[strlen(path)] == '/');
    }
    return found;
}

static void check_grant_incomplete(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                   struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, paths = {0};
    const char *devices = nvl_effective_variable(&facts->effective, NVL_KEY_ENVIRONMENT, NVL_ENV_DEVICES),
               *effect = NULL;

    if (devices == NULL || devices[0] == '\0')
        nvl_strv_push(&evidence, "no lxc.environment line with " NVL_ENV_DEVICES " is in force");
    if (!has_slot(facts, NVL_SLOT_MOUNT))
        nvl_strv_push(&evidence, "no lxc.hook.mount line of nvlxc");
    bool is_whole = evidence.count > 0;
    for (size_t i = 0; i < facts->resolved.n_nodes; i++) {
        if (is_brought_in(facts, facts->resolved.nodes[i].path))
            continue;
        nvl_strv_push(&paths, facts->resolved.nodes[i].path);
        nvl_strv_pushf(&evidence, "no %s for %s",
                       facts->grant.delivery.nodes == NVL_NODES_DEV ? "dev[n] entry" : "lxc.mount.entry",
                       facts->resolved.nodes[i].path);
    }
    if (evidence.count > 0)
        effect = "the container starts without nodes, or without the driver";
    bool has_pre_start = has_slot(facts, NVL_SLOT_PRE_START);
    if (!has_pre_start)
        nvl_strv_push(&evidence, "no lxc.hook.pre-start line of nvlxc");
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, effect != NULL ? NVL_SEVERITY_ERROR : NVL_SEVERITY_WARNING,
                             facts, &evidence, "a line of its grant is missing");
    if (f == NULL)
        return;
    if (!is_whole)
        nvl_finding_about_each(f, NVL_SUBJECT_NODE, &paths);
    if (!is_whole && !has_pre_start)
        nvl_finding_about(f, NVL_SUBJECT_LINE, "lxc.hook.pre-start");
    nvl_finding_cause(f, "%s",
                      effect != NULL ? effect
                                     : "nothing loads nvidia-uvm or makes missing nodes before the container "
                                       "starts: CUDA can fail with error 999");
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_fix(f, "%s", again);
}

static bool is_lxc_hook(const struct nvl_setting *line)
{
    if (!nvl_has_prefix(line->key, "lxc.hook."))
        return false;
    nvl_autofree char *program = nvl_xstrndup(line->value, strcspn(line->value, " \t"));
    return nvl_has_suffix(program, "/hooks/nvidia");
}

static void check_lxc_hook(const struct nvl_check *check, const struct nvl_container_facts *facts,
                           struct nvl_findings *findings)
{
    static const char *const programs[] = {"/usr/bin/nvidia-container-cli",
                                           "/usr/local/bin/nvidia-container-cli"};
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    bool has_cli =
        nvl_root_exists(facts->host->root, programs[0]) || nvl_root_exists(facts->host->root, programs[1]);

    if (!facts->idmap.privileged && !facts->has_grant && has_cli)
        return;
    for (size_t i = 0; i < facts->effective.count; i++)
        if (is_lxc_hook(&facts->effective.items[i]))
            nvl_add_setting_evidence(&evidence, facts, i);
    bool is_fatal = facts->idmap.privileged || !has_cli;
    struct nvl_finding *f = nvl_finding_of_lines(
        findings, check, is_fatal ? NVL_SEVERITY_ERROR : NVL_SEVERITY_WARNING, facts, &evidence,
        is_fatal ? "LXC's own nvidia hook stops its start" : "LXC's own nvidia hook is set beside nvlxc's");
    if (f == NULL)
        return;
    nvl_finding_cause(
        f, facts->idmap.privileged
               ? "that hook refuses privileged containers, and a failing hook stops the start"
           : !has_cli ? "that hook runs nvidia-container-cli, which is not on this host, and a failing hook "
                        "stops the start"
                      : "both hooks add the driver: two sets of libraries, of which the linker takes one");
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_fix(f, "%s", again);
}

const struct nvl_check nvl_grant_checks[] = {
    {"grant-unreadable", "Can nvlxc read the grant in its config?", 10, 0, NULL,
     NVL_OF_CONTAINER(check_grant_unreadable)},
    {"lxc-nvidia-hook", "Is LXC's own nvidia hook out of the way?", 50, 0, NULL,
     NVL_OF_CONTAINER(check_lxc_hook)},
    {"grant-incomplete", "Are all lines of its grant there?", 70, NVL_NEEDS_GRANT, NULL,
     NVL_OF_CONTAINER(check_grant_incomplete)},
    {0},
};
