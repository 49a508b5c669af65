/* The words and small questions that the container's checks share. */
#include "doctor/container/shared.h"

#include "container/foreign.h"

bool nvl_has_lines_by_hand(const struct nvl_container_facts *facts)
{
    for (size_t i = 0; i < facts->config.n_lines; i++)
        if (facts->owners[i] == NVL_OWNER_BY_HAND)
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

/* Lines that are not ours stand in attach's way, or have to go with the rest. */
static bool has_lines_to_replace(const struct nvl_container_facts *facts)
{
    nvl_autofree bool *strays = nvl_config_strays(&facts->config);

    return nvl_has_lines_by_hand(facts) || strays != NULL;
}

/* The command that writes the same grant, carried out that way. */
static char *attach_command(const struct nvl_container_facts *facts, const struct nvl_delivery *delivery)
{
    struct nvl_buf b = {0};

    nvl_autofree char *name = nvl_shell_word(facts->name);
    nvl_buf_addf(&b, "nvlxc attach %s%s", name, has_lines_to_replace(facts) ? " --replace" : "");
    if (!facts->has_grant)
        return nvl_buf_take(&b);
    if (facts->grant.devices == NVL_DEVICES_ALL || facts->grant.devices == NVL_DEVICES_NONE)
        nvl_buf_addf(&b, " --gpu %s", facts->grant.devices == NVL_DEVICES_ALL ? "all" : "none");
    for (size_t i = 0; i < facts->grant.n_selectors; i++)
        nvl_buf_addf(&b, " --gpu %s", facts->grant.selectors[i].text);
    if (facts->grant.capabilities != NVL_CAP_DEFAULT) {
        nvl_autofree char *words = nvl_capabilities_format(facts->grant.capabilities);
        nvl_buf_addf(&b, " --capabilities %s", words);
    }
    nvl_autofree char *arguments =
        nvl_delivery_arguments(delivery); /* attach's options have the same names */
    if (arguments[0] != '\0')
        nvl_buf_addf(&b, " %s", arguments);
    return nvl_buf_take(&b);
}

char *nvl_attach_again(const struct nvl_container_facts *facts)
{
    return attach_command(facts, &facts->grant.delivery);
}

char *nvl_attach_with_bundle(const struct nvl_container_facts *facts)
{
    struct nvl_delivery delivery = facts->grant.delivery;

    delivery.libraries = NVL_LIBRARIES_BUNDLE;
    return attach_command(facts, &delivery);
}

char *nvl_attach_with_hook_nodes(const struct nvl_container_facts *facts)
{
    struct nvl_delivery delivery = facts->grant.delivery;

    delivery.nodes = NVL_NODES_HOOK;
    return attach_command(facts, &delivery);
}

bool nvl_mount_line_parse(const struct nvl_line *line, struct nvl_mount_line *mount)
{
    *mount = (struct nvl_mount_line){0};
    if (line->kind != NVL_LINE_KEY || strcmp(line->key, "lxc.mount.entry") != 0)
        return false;
    nvl_strv_split(&mount->fields, line->value, " \t");
    if (mount->fields.count < 2)
        return false;
    mount->source = mount->fields.items[0];
    mount->target = mount->fields.items[1];
    mount->options = mount->fields.count > 3 ? mount->fields.items[3] : "";
    return true;
}

void nvl_mount_line_clear(struct nvl_mount_line *mount)
{
    nvl_strv_clear(&mount->fields);
    *mount = (struct nvl_mount_line){0};
}

static void take_part(struct nvl_passthrough *p, const char *part)
{
    uint64_t number;

    if (nvl_has_prefix(part, "path=") || part[0] == '/') {
        free(p->path);
        p->path = nvl_xstrdup(part[0] == '/' ? part : part + strlen("path="));
    } else if (nvl_has_prefix(part, "mode=") && nvl_parse_uint(part + 5, 8, 07777, &number) == 0) {
        p->mode = (int)number;
        p->says_mode = true;
    } else if (nvl_has_prefix(part, "uid=") && nvl_parse_uint(part + 4, 10, UINT32_MAX, &number) == 0) {
        p->uid = (unsigned)number;
        p->says_owner = true;
    } else if (nvl_has_prefix(part, "gid=") && nvl_parse_uint(part + 4, 10, UINT32_MAX, &number) == 0) {
        p->gid = (unsigned)number;
        p->says_owner = true;
    } else if (strcmp(part, "deny-write=1") == 0) {
        p->denies_write = true;
    }
}

bool nvl_passthrough_parse(const struct nvl_line *line, struct nvl_passthrough *p)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv parts = {0};

    *p = (struct nvl_passthrough){.mode = 0660};
    if (line->kind != NVL_LINE_KEY || nvl_dev_index(line->key) < 0)
        return false;
    nvl_strv_split(&parts, line->value, ",");
    for (size_t i = 0; i < parts.count; i++)
        take_part(p, parts.items[i]);
    return p->path != NULL;
}

void nvl_passthrough_clear(struct nvl_passthrough *p)
{
    free(p->path);
    *p = (struct nvl_passthrough){0};
}

static bool mounts_by_hand(const struct nvl_container_facts *facts, const char *path)
{
    bool found = false;

    for (size_t i = 0; i < facts->config.n_lines && !found; i++) {
        nvl_auto(nvl_mount_line_clear) struct nvl_mount_line mount = {0};
        nvl_auto(nvl_passthrough_clear) struct nvl_passthrough p = {0};
        if (facts->owners[i] != NVL_OWNER_BY_HAND)
            continue;
        if (nvl_mount_line_parse(&facts->config.lines[i], &mount))
            found = strcmp(mount.source, path) == 0;
        else if (nvl_passthrough_parse(&facts->config.lines[i], &p))
            found = strcmp(p.path, path) == 0;
    }
    return found;
}

struct nvl_node *nvl_expected_nodes(const struct nvl_container_facts *facts, size_t *count)
{
    struct nvl_node *nodes = NULL;

    *count = 0;
    for (size_t i = 0; i < facts->resolved.n_nodes; i++)
        *NVL_APPEND(nodes, *count) = facts->resolved.nodes[i];
    for (size_t i = 0; !facts->has_grant && i < facts->host->n_nodes; i++)
        if (mounts_by_hand(facts, facts->host->nodes[i].path))
            *NVL_APPEND(nodes, *count) = facts->host->nodes[i];
    return nodes;
}
