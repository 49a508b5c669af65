/* A grant for people and for JSON. */
#include "cli/grant_text.h"

json_t *nvl_json_strings(const struct nvl_strv *v)
{
    json_t *array = json_array();

    for (size_t i = 0; i < v->count; i++)
        json_array_append_new(array, json_string(v->items[i]));
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

char *nvl_gpu_text(const struct nvl_gpu *gpu)
{
    return nvl_xasprintf("GPU %d, %s (%s)", gpu->index, gpu->model[0] != '\0' ? gpu->model : "unknown model",
                         gpu->uuid[0] != '\0' ? gpu->uuid : gpu->pci);
}

void nvl_config_by_hand(const struct nvl_config *config, struct nvl_strv *lines)
{
    nvl_autofree enum nvl_line_owner *owners = nvl_config_owners(config);

    for (size_t i = 0; i < config->n_lines; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (owners[i] == NVL_OWNER_BY_HAND)
            nvl_strv_pushf(lines, "line %zu: %.*s", i + 1, (int)strcspn(config->text + line->start, "\r\n"),
                           config->text + line->start);
    }
}

/* "/dev/nvidia0 rw": a path-form rule's value. */
void nvl_config_rules(const struct nvl_config *config, struct nvl_strv *paths)
{
    nvl_autofree enum nvl_line_owner *owners = nvl_config_owners(config);

    for (size_t i = 0; i < config->n_lines; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (owners[i] != NVL_OWNER_NVLXC || line->kind != NVL_LINE_KEY ||
            strcmp(line->key, "lxc.cgroup2.devices.allow") != 0 || line->value[0] != '/')
            continue;
        nvl_autofree char *path = nvl_xstrndup(line->value, strcspn(line->value, " \t"));
        nvl_strv_push(paths, path);
    }
}
