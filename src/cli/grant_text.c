/* A grant for people and for JSON. */
#include "cli/grant_text.h"

#include "cli/command.h"
#include "container/foreign.h"
#include "container/ownership.h"

json_t *nvl_json_strings(const struct nvl_strv *v)
{
    json_t *array = json_array();

    for (size_t i = 0; i < v->count; i++)
        json_array_append_new(array, nvl_json_text(v->items[i]));
    return array;
}

static json_t *json_words(const char *text)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) words = {0};

    nvl_strv_split(&words, text, ",");
    return nvl_json_strings(&words);
}

json_t *nvl_json_devices(const struct nvl_grant *grant)
{
    nvl_autofree char *text = nvl_grant_devices(grant);

    return json_words(text);
}

json_t *nvl_json_capabilities(unsigned capabilities)
{
    json_t *array = json_array();

    /* one by one: all seven together are written as "all" */
    for (unsigned bit = 1; bit <= NVL_CAP_ALL; bit <<= 1)
        if ((capabilities & bit) != 0) {
            nvl_autofree char *word = nvl_capabilities_format(bit);
            json_array_append_new(array, json_string(word));
        }
    return array;
}

char *nvl_grant_ways_text(const struct nvl_grant *grant)
{
    struct nvl_buf b = {0};

    if (grant->delivery.nodes != NVL_NODES_HOOK)
        nvl_buf_addf(&b, "; nodes %s", nvl_nodes_mode_name(grant->delivery.nodes));
    if (grant->delivery.libraries != NVL_LIBRARIES_BUNDLE)
        nvl_buf_addf(&b, "; libraries %s", nvl_libraries_mode_name(grant->delivery.libraries));
    if (grant->delivery.exclusive)
        nvl_buf_addf(&b, "; exclusive");
    return nvl_buf_take(&b);
}

static int line_length(const struct nvl_config *config, const struct nvl_line *line)
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
            nvl_strv_pushf(lines, "line %zu in [%s]: %.*s", i + 1, section, line_length(config, line),
                           config->text + line->start);
    }
}

/* The device paths that lines of ours name: by rules, or by entries. */
static void named_by_ours(const struct nvl_config *config, bool by_rules, struct nvl_strv *paths)
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
    named_by_ours(config, false, paths);
}

void nvl_config_rules(const struct nvl_config *config, struct nvl_strv *paths)
{
    named_by_ours(config, true, paths);
}
