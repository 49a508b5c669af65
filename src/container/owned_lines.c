/* A config's lines by owner. */
#include "container/owned_lines.h"

#include "container/foreign.h"
#include "container/ownership.h"

static int line_length_of(const struct nvl_config *config, const struct nvl_line *line)
{
    return (int)strcspn(config->text + line->start, "\r\n");
}

void nvl_config_stray_lines(const struct nvl_config *config, struct nvl_strv *lines)
{
    nvl_autofree bool *strays = nvl_config_strays(config);
    const char *section = "";

    for (size_t i = 0; strays != NULL && i < config->n_lines; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (line->kind == NVL_LINE_SECTION)
            section = line->key;
        if (strays[i])
            nvl_strv_pushf(lines, "line %zu in [%s]: %.*s", i + 1, section, line_length_of(config, line),
                           config->text + line->start);
    }
}

/* The device paths that nvlxc's lines name: rules, or entries. */
static void add_nodes_of_ours(const struct nvl_config *config, bool by_rules, struct nvl_strv *paths)
{
    nvl_autofree enum nvl_line_owner *owners = nvl_config_owners(config);

    for (size_t i = 0; i < config->n_lines; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (owners[i] == NVL_OWNER_NVLXC && nvl_has_prefix(line->key, "lxc.cgroup") == by_rules)
            nvl_line_nodes(line, paths);
    }
}

void nvl_config_entries(const struct nvl_config *config, struct nvl_strv *paths)
{
    add_nodes_of_ours(config, false, paths);
}

void nvl_config_rules(const struct nvl_config *config, struct nvl_strv *paths)
{
    add_nodes_of_ours(config, true, paths);
}
