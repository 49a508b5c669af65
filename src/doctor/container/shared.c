/* Texts and small questions that the container's checks share. */
#include <errno.h>

#include "doctor/container/shared.h"

#include "container/foreign.h"

bool nvl_has_lines_by_hand(const struct nvl_container_facts *facts)
{
    for (size_t i = 0; i < facts->effective.count; i++)
        if (facts->effective.items[i].owner == NVL_OWNER_BY_HAND)
            return true;
    return false;
}

bool nvl_wants_gpu(const struct nvl_container_facts *facts)
{
    return (facts->has_grant && facts->grant.devices != NVL_DEVICES_VOID) || nvl_has_lines_by_hand(facts);
}

bool nvl_wants_bundle(const struct nvl_container_facts *facts)
{
    return facts->has_grant && facts->grant.devices != NVL_DEVICES_VOID &&
           facts->grant.delivery.libraries == NVL_LIBRARIES_BUNDLE;
}

char *nvl_line_text(const struct nvl_config *config, size_t line)
{
    const char *start = config->text + config->lines[line].start;
    size_t len = config->lines[line].len;

    while (len > 0 && (start[len - 1] == '\n' || start[len - 1] == '\r'))
        len--;
    return nvl_xstrndup(start, len);
}

void nvl_add_line_evidence(struct nvl_strv *evidence, const struct nvl_container_facts *facts, size_t line)
{
    nvl_autofree char *text = nvl_line_text(&facts->config, line);

    nvl_strv_pushf(evidence, "%s:%zu: %s", facts->container->config_path, line + 1, text);
}

void nvl_add_setting_evidence(struct nvl_strv *evidence, const struct nvl_container_facts *facts,
                              size_t setting)
{
    nvl_autofree char *text = nvl_setting_text(&facts->effective, &facts->effective.items[setting]);

    nvl_strv_push(evidence, text);
}

int nvl_facts_rules(const struct nvl_container_facts *facts, struct nvl_device_rules *rules)
{
    *rules = (struct nvl_device_rules){0};
    if (facts->incomplete.code < 0)
        return facts->incomplete.code;
    nvl_device_rules_read(facts->container, &facts->effective, false, rules);
    return 0;
}

struct nvl_finding *nvl_finding_of_lines(struct nvl_findings *findings, const struct nvl_check *check,
                                         enum nvl_severity severity, const struct nvl_container_facts *facts,
                                         const struct nvl_strv *evidence, const char *title)
{
    if (evidence->count == 0)
        return NULL;
    nvl_autofree char *text = nvl_strv_join(evidence, "\n");
    struct nvl_finding *f = nvl_finding_add(findings, check, severity, facts->name, title);
    nvl_finding_evidence(f, "%s", text);
    return f;
}

/* Whether lines that are not ours block attach, or must go with the rest. */
static bool has_lines_to_replace(const struct nvl_container_facts *facts)
{
    nvl_autofree bool *strays = nvl_config_strays(&facts->config);
    bool any = strays != NULL;

    for (size_t i = 0; i < facts->effective.count; i++)
        any |= facts->effective.items[i].owner == NVL_OWNER_BY_HAND && facts->effective.items[i].part == NULL;
    return any;
}

/* Keys and devices of Incus and LXD go first, by a command of theirs for each. */
static void add_removals(const struct nvl_container_facts *facts, struct nvl_buf *b)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv sources = {0}, removals = {0};

    nvl_effective_parts_by_hand(&facts->effective, &sources, &removals);
    for (size_t i = 0; i < removals.count; i++)
        nvl_buf_addf(b, "%s\n", removals.items[i]);
}

/* attach refuses while an included file has NVIDIA lines, which nobody but its owner edits. */
static void add_included_remark(const struct nvl_container_facts *facts, struct nvl_buf *b)
{
    const struct nvl_setting *included = nvl_effective_foreign_file(&facts->effective);

    if (included != NULL)
        nvl_buf_addf(b, "   # after you have removed the NVIDIA lines of %s, which the config includes",
                     included->file);
}

/* Whether `attach` has to be told which of the host's GPUs it is to give. */
static bool has_choice(const struct nvl_gpus *gpus)
{
    size_t n = 0;

    for (size_t i = 0; i < gpus->count; i++)
        n += nvl_gpu_can_be_given(&gpus->items[i]);
    return n > 1;
}

static void add_devices(const struct nvl_container_facts *facts, struct nvl_buf *b)
{
    const struct nvl_grant *grant = &facts->grant;

    if (grant->devices == NVL_DEVICES_ALL || grant->devices == NVL_DEVICES_NONE)
        nvl_buf_addf(b, " --gpu %s", grant->devices == NVL_DEVICES_ALL ? "all" : "none");
    for (size_t i = 0; i < grant->n_selectors; i++) {
        nvl_autofree char *gpu = nvl_shell_word(grant->selectors[i].text);
        nvl_buf_addf(b, " --gpu %s", gpu);
    }
}

/* The command that writes the same grant with that delivery, and these capabilities (0: what there are). */
static char *attach_command(const struct nvl_container_facts *facts, const struct nvl_delivery *delivery,
                            unsigned capabilities)
{
    bool is_replace = has_lines_to_replace(facts);
    struct nvl_buf b = {0};

    nvl_autofree char *name = nvl_shell_word(facts->name);
    add_removals(facts, &b);
    nvl_buf_addf(&b, "nvlxc attach %s%s", name, is_replace ? " --replace" : "");
    if (facts->has_grant)
        add_devices(facts, &b);
    else if (!is_replace && has_choice(&facts->host->host.gpus))
        nvl_buf_addf(&b, " --gpu GPU");
    if (capabilities == 0 && facts->has_grant)
        capabilities = facts->grant.capabilities;
    if (capabilities != 0 && capabilities != NVL_CAP_DEFAULT) {
        nvl_autofree char *words = nvl_capabilities_format(capabilities);
        nvl_buf_addf(&b, " --capabilities %s", words);
    }
    if (facts->has_grant) {
        nvl_autofree char *arguments =
            nvl_delivery_arguments(delivery); /* attach's options have the same names */
        nvl_buf_addf(&b, "%s%s", arguments[0] != '\0' ? " " : "", arguments);
    }
    add_included_remark(facts, &b);
    return nvl_buf_take(&b);
}

char *nvl_attach_again(const struct nvl_container_facts *facts)
{
    return attach_command(facts, &facts->grant.delivery, 0);
}

char *nvl_attach_with_capabilities(const struct nvl_container_facts *facts, unsigned capabilities)
{
    return attach_command(facts, &facts->grant.delivery, capabilities);
}

char *nvl_attach_with_bundle(const struct nvl_container_facts *facts)
{
    struct nvl_delivery delivery = facts->grant.delivery;

    delivery.libraries = NVL_LIBRARIES_BUNDLE;
    return attach_command(facts, &delivery, 0);
}

char *nvl_attach_with_hook_nodes(const struct nvl_container_facts *facts)
{
    struct nvl_delivery delivery = facts->grant.delivery;

    delivery.nodes = NVL_NODES_HOOK;
    return attach_command(facts, &delivery, 0);
}

static bool brings_by_hand(const struct nvl_container_facts *facts, const char *path)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0};

    for (size_t i = 0; i < facts->effective.count; i++) {
        const struct nvl_setting *s = &facts->effective.items[i];
        if (s->owner == NVL_OWNER_BY_HAND && !nvl_setting_allows(s))
            nvl_setting_nodes(s->key, s->value, &paths);
    }
    return nvl_strv_contains(&paths, path);
}

struct nvl_node *nvl_expected_nodes(const struct nvl_container_facts *facts, size_t *count)
{
    struct nvl_node *nodes = NULL;

    *count = 0;
    for (size_t i = 0; i < facts->resolved.n_nodes; i++)
        *NVL_APPEND(nodes, *count) = facts->resolved.nodes[i];
    for (size_t i = 0; !facts->has_grant && i < facts->host->n_nodes; i++)
        if (brings_by_hand(facts, facts->host->nodes[i].path))
            *NVL_APPEND(nodes, *count) = facts->host->nodes[i];
    return nodes;
}

void nvl_push_open_device(struct nvl_strv *commands, const struct nvl_container_facts *facts,
                          const struct nvl_setting *s, const char *path)
{
    nvl_autofree char *value = nvl_dev_entry_change(s->value, path, "0666"), *word = nvl_shell_word(value);

    nvl_strv_pushf(commands, "pct set %s -%s %s", facts->container->name, s->key, word);
}

bool nvl_is_device(const struct nvl_root *root, const char *path)
{
    struct stat st;

    return nvl_root_stat(root, path, 0, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode));
}

bool nvl_is_absent(const struct nvl_root *root, const char *path)
{
    struct stat st;
    int r = nvl_root_stat(root, path, 0, &st);

    return r == -ENOENT || r == -ENOTDIR;
}
