/* Device rules that were written as numbers: majors that the kernel meanwhile gave to something else, or
 * will; nodes that no rule names; and rules for a cgroup version that the host does not have. */
#include "doctor/container/shared.h"
#include "doctor/families.h"
#include "container/device_rules.h"

/* The ranges from which the kernel takes dynamic majors of character devices. */
static bool is_dynamic_major(int major)
{
    return (major >= 234 && major <= 254) || (major >= 384 && major <= 511);
}

/* Whether somebody mounts, by hand, a node whose path begins like this, or one in that folder. */
static bool mounts(const struct nvl_container_facts *facts, const char *prefix)
{
    bool found = false;

    for (size_t i = 0; i < facts->effective.count && !found; i++) {
        nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry mount = {0};
        if (facts->effective.items[i].owner == NVL_OWNER_BY_HAND &&
            nvl_setting_mount(&facts->effective.items[i], &mount))
            found = nvl_has_prefix(mount.source, prefix);
    }
    return found;
}

static bool has_gpu_rule(const struct nvl_container_facts *facts)
{
    for (size_t i = 0; i < facts->effective.count; i++)
        if (facts->effective.items[i].owner == NVL_OWNER_BY_HAND &&
            nvl_setting_allows(&facts->effective.items[i]) &&
            nvl_device_rule_major(facts->effective.items[i].value) == 195)
            return true;
    return false;
}

/* The drivers whose majors change from boot to boot. */
struct dynamic {
    const char *driver, *node;
    const char *effect; /* what fails if the node is denied */
    int major;
    bool is_wanted; /* by lines written by hand */
};

static struct dynamic uvm_of(const struct nvl_container_facts *facts)
{
    return (struct dynamic){
        "nvidia-uvm", "/dev/nvidia-uvm", "nvidia-smi works, CUDA fails with error 999 (unknown error)",
        facts->host->host.majors.uvm, mounts(facts, "/dev/nvidia-uvm") || has_gpu_rule(facts)};
}

static struct dynamic caps_of(const struct nvl_container_facts *facts)
{
    return (struct dynamic){"nvidia-caps", "/dev/nvidia-caps", "MIG devices cannot be opened",
                            facts->host->host.majors.caps, mounts(facts, "/dev/nvidia-caps")};
}

/* The current owner of a major, from /proc/devices. */
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

/* Rules of the config with a dynamic major that is currently neither uvm's nor caps'. */
static void find_stale(const struct nvl_container_facts *facts, struct nvl_strv *evidence)
{
    const struct nvl_majors *majors = &facts->host->host.majors;

    for (size_t i = 0; i < facts->effective.count; i++) {
        const struct nvl_setting *line = &facts->effective.items[i];
        int major = nvl_setting_allows(line) ? nvl_device_rule_major(line->value) : -1;
        if (!is_dynamic_major(major) || major == majors->uvm || major == majors->caps)
            continue;
        nvl_autofree char *owner = owner_of_major(facts->host->root, major);
        if (owner != NULL && nvl_has_prefix(owner, "nvidia-") && line->owner == NVL_OWNER_OTHER)
            continue; /* another module's: a rule for its nodes */
        nvl_add_setting_evidence(evidence, facts, i);
        nvl_strv_pushf(evidence, "/proc/devices: %d is %s now", major, owner != NULL ? owner : "nobody's");
    }
}

/* Of one driver: what the config should have, and what fails without. */
static void add_denied(const struct nvl_container_facts *facts, const struct dynamic *d,
                       struct nvl_strv *evidence, struct nvl_strv *effects, struct nvl_strv *lines)
{
    nvl_strv_pushf(evidence, "/proc/devices: %d is %s now", d->major, d->driver);
    nvl_strv_pushf(effects, "%s: %s", d->node, d->effect);
    nvl_strv_pushf(lines, "  " NVL_KEY_ALLOW "%s c %d:* rwm",
                   facts->config.dialect == NVL_DIALECT_PVE ? ":" : " =", d->major);
}

static void about_nodes(struct nvl_finding *f, const struct nvl_container_facts *facts,
                        const struct dynamic *d)
{
    nvl_finding_about(f, NVL_SUBJECT_NODE, d->node);
    for (size_t i = 0; i < facts->host->n_nodes; i++)
        if (facts->host->nodes[i].major == d->major)
            nvl_finding_about(f, NVL_SUBJECT_NODE, facts->host->nodes[i].path);
}

/* One finding for all of them: which of them a stale number was meant for, nobody knows. */
static void check_major_stale(const struct nvl_check *check, const struct nvl_container_facts *facts,
                              struct nvl_findings *findings)
{
    const struct dynamic all[] = {uvm_of(facts), caps_of(facts)};
    nvl_auto(nvl_device_rules_clear) struct nvl_device_rules rules = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, effects = {0}, lines = {0};
    bool is_denied[NVL_LENGTH(all)] = {false};

    if (nvl_facts_rules(facts, &rules) < 0)
        return;
    find_stale(facts, &evidence);
    if (evidence.count == 0)
        return;
    for (size_t i = 0; i < NVL_LENGTH(all); i++) {
        is_denied[i] = all[i].is_wanted && all[i].major >= 0 &&
                       !nvl_device_rules_allow(&rules, all[i].node, all[i].major, 0);
        if (is_denied[i])
            add_denied(facts, &all[i], &evidence, &effects, &lines);
    }
    if (lines.count == 0)
        return;
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                                                 "a device rule names a major that the driver no longer has");
    for (size_t i = 0; i < NVL_LENGTH(all); i++)
        if (is_denied[i])
            about_nodes(f, facts, &all[i]);
    nvl_autofree char *denied = nvl_strv_join(&effects, "; "), *wanted = nvl_strv_join(&lines, "\n"),
                      *again = nvl_attach_again(facts);
    nvl_finding_cause(
        f,
        "the kernel assigns such majors anew at each boot, and the config has one of an earlier "
        "boot, so the device filter denies %s",
        denied);
    nvl_finding_fix(f,
                    "in %s, replace the old line with %s, and restart the container:\n%s\nor let nvlxc look "
                    "majors up at each start:\n  %s",
                    facts->container->config_edit, lines.count > 1 ? "these lines" : "this one", wanted,
                    again);
}

static void check_major_pinned(const struct nvl_check *check, const struct nvl_container_facts *facts,
                               struct nvl_findings *findings)
{
    const struct dynamic all[] = {uvm_of(facts), caps_of(facts)};
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    nvl_auto(nvl_device_rules_clear) struct nvl_device_rules rules = {0};

    if (nvl_facts_rules(facts, &rules) < 0 || rules.allows_rest)
        return;
    for (size_t i = 0; i < facts->effective.count; i++)
        for (size_t d = 0; d < NVL_LENGTH(all); d++)
            if (all[d].is_wanted && all[d].major >= 0 && nvl_setting_allows(&facts->effective.items[i]) &&
                nvl_device_rule_major(facts->effective.items[i].value) == all[d].major) {
                nvl_add_setting_evidence(&evidence, facts, i);
                nvl_strv_pushf(&evidence, "/proc/devices: %d is %s now", all[d].major, all[d].driver);
            }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_WARNING, facts, &evidence,
                                                 "a device rule names a major that changes between boots");
    if (f == NULL)
        return;
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(f, "the kernel assigns this major anew at each boot: after some later boot the same "
                         "rule denies the device, and CUDA fails with error 999 while nvidia-smi works");
    nvl_finding_fix(f, "let nvlxc look majors up at each start:\n  %s", again);
}

/* Nodes that are mounted by hand and that the filter denies, unless a stale rule explains that. */
static void check_classic_rules(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, stale = {0}, lines = {0}, paths = {0};
    nvl_auto(nvl_device_rules_clear) struct nvl_device_rules rules = {0};

    if (nvl_facts_rules(facts, &rules) < 0)
        return;
    find_stale(facts, &stale);
    for (size_t n = 0; n < facts->host->n_nodes; n++) {
        const struct nvl_node *node = &facts->host->nodes[n];
        bool is_explained = stale.count > 0 && is_dynamic_major(node->major);
        if (node->major < 0 || is_explained ||
            nvl_device_rules_allow(&rules, node->path, node->major, node->minor))
            continue;
        for (size_t i = 0; i < facts->effective.count; i++) {
            nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry mount = {0};
            if (facts->effective.items[i].owner != NVL_OWNER_BY_HAND ||
                !nvl_setting_mount(&facts->effective.items[i], &mount) ||
                strcmp(mount.source, node->path) != 0)
                continue;
            nvl_add_setting_evidence(&evidence, facts, i);
            nvl_strv_push(&paths, node->path);
            nvl_strv_pushf(&lines, "  " NVL_KEY_ALLOW "%s %s rw",
                           facts->config.dialect == NVL_DIALECT_PVE ? ":" : " =", node->path);
        }
    }
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                             "it mounts NVIDIA's nodes, but its device filter denies them");
    if (f == NULL)
        return;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &paths);
    nvl_autofree char *text = nvl_strv_join(&lines, "\n");
    nvl_finding_cause(f, "the container has an allow-list of devices, and no rule names these nodes: opening "
                         "them gives EPERM, nvidia-smi says \"Unknown Error\"");
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_fix(f,
                    "add to %s, before any [section], and restart the container:\n%s\n"
                    "or let nvlxc write the rules:\n  %s",
                    facts->container->config_edit, text, again);
}

/* The nodes that such a rule was written for; if their major changes between boots, also one with an earlier
 * boot's. */
static void add_ruled_nodes(const struct nvl_container_facts *facts, const char *rule, struct nvl_strv *paths)
{
    for (size_t i = 0; i < facts->host->n_nodes; i++) {
        const struct nvl_node *node = &facts->host->nodes[i];
        if (nvl_device_rule_matches(rule, node->path, node->major, node->minor) ||
            (is_dynamic_major(nvl_device_rule_major(rule)) && is_dynamic_major(node->major)))
            nvl_strv_push(paths, node->path);
    }
}

static void check_cgroup_v1_rules(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                  struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, paths = {0};
    bool is_hidden = facts->filter == NVL_FILTER_ALLOW;

    if (nvl_root_exists(facts->host->root, "/sys/fs/cgroup/devices"))
        return;
    for (size_t i = 0; i < facts->effective.count; i++) {
        const struct nvl_setting *line = &facts->effective.items[i];
        if (strcmp(line->key, "lxc.cgroup.devices.allow") != 0)
            continue;
        int major = nvl_device_rule_major(line->value);
        if (line->owner != NVL_OWNER_BY_HAND && !is_dynamic_major(major))
            continue;
        nvl_add_setting_evidence(&evidence, facts, i);
        add_ruled_nodes(facts, line->value, &paths);
    }
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, is_hidden ? NVL_SEVERITY_ERROR : NVL_SEVERITY_WARNING, facts,
                             &evidence, "its device rules are for cgroup v1, which this host does not have");
    if (f == NULL)
        return;
    nvl_finding_about(f, NVL_SUBJECT_LINE, "lxc.cgroup.devices.allow");
    for (size_t i = 0; i < paths.count; i++)
        nvl_finding_explains(f, NVL_SUBJECT_NODE, paths.items[i]);
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(f, "LXC ignores lxc.cgroup.* keys on a host that has only cgroup v2, and LXC 7 does "
                         "not start a container that has one");
    nvl_finding_fix(f, "%s\nor write lxc.cgroup2 instead of lxc.cgroup in these lines of %s", again,
                    facts->container->config_edit);
}

const struct nvl_check nvl_major_checks[] = {
    {"classic-major-stale", "Do its device rules name the majors of this boot?", 80, 0, NULL,
     NVL_OF_CONTAINER(check_major_stale)},
    {"cgroup-v1-rules", "Are its device rules for this host's cgroup version?", 90, NVL_NEEDS_GPU_WISH, NULL,
     NVL_OF_CONTAINER(check_cgroup_v1_rules)},
    {"classic-rule-missing", "Does its device filter allow the nodes that it mounts?", 100, 0,
     "classic-major-stale cgroup-v1-rules", NVL_OF_CONTAINER(check_classic_rules)},
    {"classic-major-pinned", "Will its device rules still be right after the next boot?", 140, 0, NULL,
     NVL_OF_CONTAINER(check_major_pinned)},
    {0},
};
