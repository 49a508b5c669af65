/* Builds the commands' JSON output. */
#include "cli/json.h"

#include <stdio.h>

#include "base/error.h"
#include "base/fix.h"
#include "doctor/check.h"
#include "doctor/notify.h"
#include "doctor/told.h"
#include "grant/grant.h"
#include "host/gpu_state.h"
#include "host/node.h"

json_t *nvl_json_made(json_t *value)
{
    if (value == NULL) { /* out of memory, or a text that should have gone through nvl_json_text */
        fflush(stdout);
        fputs("nvlxc: cannot write the result as JSON; run the command without --json\n", stderr);
        exit(NVL_EXIT_FAILED);
    }
    return value;
}

/* The keys keep their order, so "format" is set before them. */
static json_t *put_format_first(json_t *object)
{
    json_t *all = json_pack("{s:i}", "format", NVL_JSON_FORMAT);

    json_object_update(all, nvl_json_made(object));
    json_decref(object);
    return nvl_json_made(all);
}

int nvl_print_json(json_t *object)
{
    json_t *all = put_format_first(object);

    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
    return NVL_EXIT_OK;
}

void nvl_print_json_error(const struct nvl_error *err)
{
    json_t *all =
        put_format_first(json_pack("{s:{s:o,s:i,s:o}}", "error", "message", nvl_json_text(err->message),
                                   "status", (int)err->exit, "fix", nvl_json_fix(err->hint)));

    json_dumpf(all, stderr, JSON_COMPACT);
    fputc('\n', stderr);
    json_decref(all);
}

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

json_t *nvl_json_capabilities(unsigned capabilities)
{
    json_t *array = json_array();

    /* one by one: nvl_capabilities_format would write all seven as "all" */
    for (unsigned bit = 1; bit <= NVL_CAP_ALL; bit <<= 1)
        if ((capabilities & bit) != 0) {
            nvl_autofree char *word = nvl_capabilities_format(bit);
            json_array_append_new(array, json_string(word));
        }
    return array;
}

json_t *nvl_json_grant(const struct nvl_grant *grant)
{
    if (grant == NULL)
        return json_null();
    const struct nvl_delivery *delivery = &grant->delivery;
    nvl_autofree char *devices = nvl_grant_devices(grant), *with = nvl_with_format(delivery);

    return json_pack("{s:o,s:o,s:b,s:b,s:b,s:b,s:s,s:s,s:o}", "devices", json_words(devices), "capabilities",
                     nvl_json_capabilities(grant->capabilities), "required", (int)delivery->required,
                     "exclusive", (int)delivery->exclusive, "tag", (int)delivery->tag, "cdi",
                     (int)delivery->cdi, "nodes_by", nvl_nodes_mode_name(delivery->nodes), "libraries_by",
                     nvl_libraries_mode_name(delivery->libraries), "with", json_words(with));
}

json_t *nvl_json_node(const struct nvl_node *node)
{
    return json_pack("{s:s,s:o,s:i,s:s}", "path", node->path, "major", nvl_json_unsigned(node->major),
                     "minor", node->minor, "state", nvl_node_state_name(node->state));
}

json_t *nvl_json_nodes(const struct nvl_node *nodes, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, nvl_json_node(&nodes[i]));
    return array;
}

json_t *nvl_json_gpus(const struct nvl_gpus *gpus)
{
    json_t *array = json_array();

    for (size_t i = 0; i < gpus->count; i++)
        if (nvl_gpu_state(&gpus->items[i]) != NVL_GPU_IS_VIRTUAL)
            json_array_append_new(array, nvl_json_gpu(&gpus->items[i]));
    return array;
}

json_t *nvl_json_fix(const char *fix)
{
    json_t *list = json_array();
    struct nvl_fix_line line;

    while (nvl_next_fix_line(&fix, &line)) {
        json_array_append_new(list, json_pack("{s:o,s:o}", "text", nvl_json_string(line.text), "command",
                                              nvl_json_string(line.command)));
        nvl_fix_line_clear(&line);
    }
    return list;
}

json_t *nvl_json_findings(const struct nvl_findings *findings)
{
    json_t *list = json_array();

    for (size_t i = 0; i < findings->count; i++) {
        const struct nvl_finding *f = &findings->items[i];
        json_array_append_new(
            list, json_pack("{s:s,s:s,s:o,s:b,s:o,s:o,s:o,s:o}", "id", f->check->id, "severity",
                            nvl_severity_name(f->severity), "container", nvl_json_string(f->container),
                            "stops_start", (int)(f->start != NVL_START_GOES), "title",
                            nvl_json_text(f->title), "evidence", nvl_json_string(f->evidence), "cause",
                            nvl_json_string(f->cause), "fix", nvl_json_fix(f->fix)));
    }
    return list;
}

json_t *nvl_json_news(const struct nvl_news *news)
{
    json_t *gone = json_array();

    for (size_t i = 0; i < news->gone.count; i++) {
        const struct nvl_told *told = &news->gone.items[i];
        json_array_append_new(gone, json_pack("{s:s,s:o,s:o}", "id", told->check->id, "container",
                                              nvl_json_string(told->container), "title",
                                              nvl_json_text(told->title)));
    }
    return json_pack("{s:o,s:o}", "new", nvl_json_findings(&news->came), "gone", gone);
}

json_t *nvl_json_replaced(const struct nvl_strv *lines, const struct nvl_strv *instead)
{
    json_t *list = json_array();

    for (size_t i = 0; i < lines->count; i++)
        json_array_append_new(list, json_pack("{s:o,s:o}", "line", nvl_json_text(lines->items[i]), "instead",
                                              nvl_json_text(instead->items[i])));
    return list;
}
