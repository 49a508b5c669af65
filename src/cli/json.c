/* Builds the commands' JSON output. */
#include "cli/json.h"

#include <stdio.h>

#include "base/error.h"
#include "base/printable.h"
#include "doctor/check.h"
#include "grant/grant.h"
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

int nvl_print_json(json_t *value)
{
    nvl_json_made(value);
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(value);
    return NVL_EXIT_OK;
}

json_t *nvl_json_text(const char *s)
{
    json_t *text = json_string(s);

    if (text == NULL) { /* jansson accepts only UTF-8 */
        nvl_autofree char *copy = nvl_make_utf8(nvl_xstrdup(s));
        text = json_string(copy);
    }
    return text;
}

json_t *nvl_json_string(const char *s)
{
    return s != NULL && s[0] != '\0' ? nvl_json_text(s) : json_null();
}

json_t *nvl_json_unsigned(long long n)
{
    return n >= 0 ? json_integer(n) : json_null();
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

json_t *nvl_json_devices(const struct nvl_grant *grant)
{
    nvl_autofree char *text = nvl_grant_devices(grant);

    return json_words(text);
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

json_t *nvl_json_node(const struct nvl_node *node)
{
    return json_pack("{s:s,s:o,s:i,s:s}", "path", node->path, "major", nvl_json_unsigned(node->major),
                     "minor", node->minor, "state", nvl_node_state_name(node->state));
}

json_t *nvl_json_obstacles(const struct nvl_findings *obstacles)
{
    json_t *list = json_array();

    for (size_t i = 0; i < obstacles->count; i++) {
        const struct nvl_finding *f = &obstacles->items[i];
        if (f->severity == NVL_SEVERITY_NOTE)
            continue;
        json_array_append_new(list,
                              json_pack("{s:s,s:b,s:o,s:o,s:o,s:o}", "check", f->check->id, "stops_start",
                                        (int)(f->start != NVL_START_GOES), "title", nvl_json_text(f->title),
                                        "evidence", nvl_json_text(f->evidence), "cause",
                                        nvl_json_string(f->cause), "fix", nvl_json_string(f->fix)));
    }
    return list;
}

json_t *nvl_json_replaced(const struct nvl_strv *lines, const struct nvl_strv *instead)
{
    json_t *list = json_array();

    for (size_t i = 0; i < lines->count; i++)
        json_array_append_new(list, json_pack("{s:o,s:o}", "line", nvl_json_text(lines->items[i]), "instead",
                                              nvl_json_text(instead->items[i])));
    return list;
}
