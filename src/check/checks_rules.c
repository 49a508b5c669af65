/* Device rules of a config: numbers that the kernel gave to something else meanwhile, rules that do nothing,
 * rules that are missing, and rules that let a container have what it was not granted. */
#include "check/container_checks.h"
#include "check/device_access.h"

#define KEY_ALLOW "lxc.cgroup2.devices.allow"

/* The ranges that the kernel takes dynamic majors of character devices from. */
static bool is_dynamic(int major)
{
    return (major >= 234 && major <= 254) || (major >= 384 && major <= 511);
}

static bool is_allow_line(const struct nvl_line *line)
{
    return line->kind == NVL_LINE_KEY && line->section == 0 && strcmp(line->key, KEY_ALLOW) == 0;
}

/* Whether somebody mounts a node whose path begins so, or one in it, by hand. */
static bool mounts(const struct nvl_container_facts *facts, const char *prefix)
{
    bool found = false;

    for (size_t i = 0; i < facts->config.n_lines && !found; i++) {
        nvl_auto(nvl_mount_line_clear) struct nvl_mount_line mount = {0};
        if (facts->owners[i] == NVL_OWNER_BY_HAND && nvl_mount_line_parse(&facts->config.lines[i], &mount))
            found = nvl_has_prefix(mount.source, prefix);
    }
    return found;
}

static bool has_gpu_rule(const struct nvl_container_facts *facts)
{
    for (size_t i = 0; i < facts->config.n_lines; i++)
        if (facts->owners[i] == NVL_OWNER_BY_HAND && is_allow_line(&facts->config.lines[i]) &&
            nvl_rule_major(facts->config.lines[i].value) == 195)
            return true;
    return false;
}

/* The drivers whose majors change from boot to boot. */
struct dynamic {
    const char *driver, *node;
    int major;
    bool is_wanted; /* by lines written by hand */
};

static struct dynamic uvm_of(const struct nvl_container_facts *facts)
{
    return (struct dynamic){"nvidia-uvm", "/dev/nvidia-uvm", facts->host->host.majors.uvm,
                            mounts(facts, "/dev/nvidia-uvm") || has_gpu_rule(facts)};
}

static struct dynamic caps_of(const struct nvl_container_facts *facts)
{
    return (struct dynamic){"nvidia-caps", "/dev/nvidia-caps", facts->host->host.majors.caps,
                            mounts(facts, "/dev/nvidia-caps")};
}

/* Whose a major is at this moment, by /proc/devices. */
static char *owner_of_major(const struct nvl_root *root, int major)
{
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, pos = 0, line_len;

    if (nvl_root_read(root, "/proc/devices", 64u << 10, &text, &len) < 0)
        return NULL;
    while (nvl_next_line(text, len, &pos, &line, &line_len) && line_len > 0) {
        nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        uint64_t number;
        nvl_strv_split(&words, copy, " ");
        if (words.count == 2 && nvl_parse_uint(words.items[0], 10, 0xfff, &number) == 0 &&
            (int)number == major)
            return nvl_xstrdup(words.items[1]);
    }
    return NULL;
}

/* Rules of the config with a dynamic major that is neither uvm's nor caps' now. */
static void find_stale(const struct nvl_container_facts *facts, struct nvl_strv *evidence)
{
    const struct nvl_majors *majors = &facts->host->host.majors;

    for (size_t i = 0; i < facts->config.n_lines; i++) {
        const struct nvl_line *line = &facts->config.lines[i];
        int major = is_allow_line(line) ? nvl_rule_major(line->value) : -1;
        if (!is_dynamic(major) || major == majors->uvm || major == majors->caps)
            continue;
        nvl_add_line_evidence(evidence, facts, i);
        nvl_autofree char *owner = owner_of_major(facts->host->root, major);
        nvl_strv_pushf(evidence, "/proc/devices: %d is %s now", major, owner != NULL ? owner : "nobody's");
    }
}

static void stale_finding(const struct nvl_check *check, const struct nvl_container_facts *facts,
                          struct nvl_findings *findings, const struct dynamic *d, struct nvl_strv *evidence)
{
    nvl_strv_pushf(evidence, "/proc/devices: %d is %s now", d->major, d->driver);
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, evidence,
                                                 "a device rule names a major that the driver no longer has");
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(
        f,
        "%s gets another major at each boot; the one written into the config is from an earlier "
        "boot, so the device filter denies %s%s",
        d->driver, d->node,
        strcmp(d->driver, "nvidia-uvm") == 0 ? ": nvidia-smi works, CUDA fails with error 999 (unknown error)"
                                             : ": MIG devices cannot be opened");
    nvl_finding_fix(f,
                    "in %s, put this line in the place of the old one, and restart the container:\n"
                    "  " KEY_ALLOW "%s c %d:* rwm\n"
                    "or let nvlxc look majors up at each start:\n"
                    "  %s",
                    facts->container->config_path, facts->config.dialect == NVL_DIALECT_PVE ? ":" : " =",
                    d->major, again);
}

void nvl_check_major_stale(const struct nvl_check *check, const struct nvl_container_facts *facts,
                           struct nvl_findings *findings)
{
    const struct dynamic all[] = {uvm_of(facts), caps_of(facts)};
    nvl_auto(nvl_rules_clear) struct nvl_rules rules = {0};

    if (nvl_rules_read(facts, &rules) < 0)
        return;
    for (size_t i = 0; i < NVL_LENGTH(all); i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
        if (!all[i].is_wanted || all[i].major < 0 || nvl_rules_allow(&rules, all[i].node, all[i].major, 0))
            continue;
        find_stale(facts, &evidence);
        if (evidence.count > 0)
            stale_finding(check, facts, findings, &all[i], &evidence);
    }
}

void nvl_check_major_pinned(const struct nvl_check *check, const struct nvl_container_facts *facts,
                            struct nvl_findings *findings)
{
    const struct dynamic all[] = {uvm_of(facts), caps_of(facts)};
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    nvl_auto(nvl_rules_clear) struct nvl_rules rules = {0};

    if (nvl_rules_read(facts, &rules) < 0 || rules.allows_rest)
        return;
    for (size_t i = 0; i < facts->config.n_lines; i++)
        for (size_t d = 0; d < NVL_LENGTH(all); d++)
            if (all[d].is_wanted && all[d].major >= 0 && is_allow_line(&facts->config.lines[i]) &&
                nvl_rule_major(facts->config.lines[i].value) == all[d].major) {
                nvl_add_line_evidence(&evidence, facts, i);
                nvl_strv_pushf(&evidence, "/proc/devices: %d is %s now", all[d].major, all[d].driver);
            }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_WARNING, facts, &evidence,
                                                 "a device rule names a major that changes between boots");
    if (f == NULL)
        return;
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(f,
                      "the kernel gives this major anew at each boot: after one of the next, the same rule "
                      "denies the device, and CUDA fails with error 999 while nvidia-smi works");
    nvl_finding_fix(f, "let nvlxc look majors up at each start:\n  %s", again);
}

/* Nodes that are mounted by hand and that the filter denies, where no stale rule explains it. */
void nvl_check_classic_rule_missing(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                    struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, stale = {0}, lines = {0};
    nvl_auto(nvl_rules_clear) struct nvl_rules rules = {0};

    if (nvl_rules_read(facts, &rules) < 0)
        return;
    find_stale(facts, &stale);
    for (size_t n = 0; n < facts->host->n_nodes; n++) {
        const struct nvl_node *node = &facts->host->nodes[n];
        bool is_explained = stale.count > 0 && is_dynamic(node->major);
        if (node->major < 0 || is_explained || nvl_rules_allow(&rules, node->path, node->major, node->minor))
            continue;
        for (size_t i = 0; i < facts->config.n_lines; i++) {
            nvl_auto(nvl_mount_line_clear) struct nvl_mount_line mount = {0};
            if (facts->owners[i] != NVL_OWNER_BY_HAND ||
                !nvl_mount_line_parse(&facts->config.lines[i], &mount) ||
                strcmp(mount.source, node->path) != 0)
                continue;
            nvl_add_line_evidence(&evidence, facts, i);
            nvl_strv_pushf(&lines, "  " KEY_ALLOW "%s %s rw",
                           facts->config.dialect == NVL_DIALECT_PVE ? ":" : " =", node->path);
        }
    }
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                             "it mounts NVIDIA's nodes, but its device filter denies them");
    if (f == NULL)
        return;
    nvl_autofree char *text = nvl_strv_join(&lines, "\n");
    nvl_finding_cause(f, "the container has an allow-list of devices, and no rule names these: opening them "
                         "gives EPERM, nvidia-smi says \"Unknown Error\"");
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_fix(f,
                    "add to %s, before any [section], and restart the container:\n%s\n"
                    "or let nvlxc write the rules:\n  %s",
                    facts->container->config_path, text, again);
}

void nvl_check_rules_without_effect(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                    struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    bool is_users = facts->container->user != NULL, has_gpu = has_gpu_rule(facts);

    if (facts->filter != NVL_FILTER_DENY && !is_users)
        return;
    for (size_t i = 0; i < facts->config.n_lines; i++) {
        const struct nvl_line *line = &facts->config.lines[i];
        if (is_allow_line(line) &&
            (facts->owners[i] != NVL_OWNER_OTHER || (has_gpu && is_dynamic(nvl_rule_major(line->value)))))
            nvl_add_line_evidence(&evidence, facts, i);
    }
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
    nvl_auto(nvl_rules_clear) struct nvl_rules rules = {0};
    bool is_ours = true;

    if (nvl_rules_read(facts, &rules) < 0 || nvl_rules_allow(&rules, "/dev/null", 1, 3))
        return;
    for (size_t i = 0; i < facts->config.n_lines; i++)
        if (is_allow_line(&facts->config.lines[i]) && facts->owners[i] != NVL_OWNER_OTHER) {
            nvl_add_line_evidence(&evidence, facts, i);
            is_ours = is_ours && facts->owners[i] == NVL_OWNER_NVLXC;
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
    nvl_auto(nvl_rules_clear) struct nvl_rules rules = {0};

    if (!facts->has_grant || facts->filter != NVL_FILTER_ALLOW || nvl_rules_read(facts, &rules) < 0)
        return;
    for (size_t i = 0; i < facts->resolved.n_nodes; i++) {
        const struct nvl_node *node = &facts->resolved.nodes[i];
        if (!nvl_rules_allow(&rules, node->path, node->major, node->minor))
            nvl_strv_pushf(&evidence, "no " KEY_ALLOW " for %s (%d:%d)", node->path, node->major,
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
    for (size_t i = 0; i < facts->config.n_lines; i++) {
        if (facts->owners[i] != NVL_OWNER_NVLXC || !is_allow_line(&facts->config.lines[i]))
            continue;
        nvl_autofree char *path =
            nvl_xstrndup(facts->config.lines[i].value, strcspn(facts->config.lines[i].value, " \t"));
        if (!is_granted_node(facts, path))
            nvl_add_line_evidence(&evidence, facts, i);
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

void nvl_check_cgroup_v1(const struct nvl_check *check, const struct nvl_container_facts *facts,
                         struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    bool is_hidden = facts->filter == NVL_FILTER_ALLOW;

    if (!nvl_wants_gpu(facts) || nvl_root_exists(facts->host->root, "/sys/fs/cgroup/devices"))
        return;
    for (size_t i = 0; i < facts->config.n_lines; i++) {
        const struct nvl_line *line = &facts->config.lines[i];
        if (line->kind != NVL_LINE_KEY || line->section != 0 ||
            strcmp(line->key, "lxc.cgroup.devices.allow") != 0)
            continue;
        int major = nvl_rule_major(line->value);
        if (facts->owners[i] == NVL_OWNER_BY_HAND || is_dynamic(major))
            nvl_add_line_evidence(&evidence, facts, i);
    }
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, is_hidden ? NVL_SEVERITY_ERROR : NVL_SEVERITY_WARNING, facts,
                             &evidence, "its device rules are for cgroup v1, which this host does not have");
    if (f == NULL)
        return;
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(
        f, "LXC ignores lxc.cgroup.* keys on a host with cgroup v2 alone, and its version 7 does not "
           "start a container that has one");
    nvl_finding_fix(f, "%s\nor write lxc.cgroup2 in the place of lxc.cgroup in these lines of %s", again,
                    facts->container->config_path);
}
