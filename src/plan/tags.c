/* Tags of GPUs in a CT's config. What stands between the tags of others stays as it is written. */
#include "plan/tags.h"

#include <errno.h>

#include "base/error.h"

#define KEY        "tags"
#define SEPARATORS ";, \t"

void nvl_grant_tags(const struct nvl_grant *grant, const struct nvl_resolved *resolved, struct nvl_strv *tags)
{
    if (grant->devices == NVL_DEVICES_ALL || nvl_grant_is_open(grant)) {
        nvl_strv_push(tags, "gpu");
        return;
    }
    for (size_t i = 0; i < resolved->n_gpus; i++) {
        nvl_autofree char *tag = nvl_xasprintf("gpu-%d", resolved->gpus[i].gpu->index);
        nvl_strv_push_once(tags, tag);
    }
}

/* "gpu", "gpu-0" */
static bool is_gpu_tag(const char *tag)
{
    return strcmp(tag, "gpu") == 0 ||
           (nvl_has_prefix(tag, "gpu-") && tag[4] != '\0' && tag[4 + strspn(tag + 4, "0123456789")] == '\0');
}

/* The value with the tags that it lacks, and without those that go; the separator in front of a tag goes with
 * it. The caller frees. */
static char *change_tags(const char *value, const struct nvl_strv *tags, bool had_tags)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv there = {0};
    struct nvl_buf out = {0};

    nvl_buf_add(&out, "", 0);
    while (*value != '\0') {
        size_t before = strspn(value, SEPARATORS), len = strcspn(value + before, SEPARATORS);
        nvl_autofree char *tag = nvl_xstrndup(value + before, len);
        bool goes = had_tags && is_gpu_tag(tag) && !nvl_strv_contains(tags, tag);
        if (!goes && (out.len > 0 || len > 0))
            nvl_buf_add(&out, value + (out.len > 0 ? 0 : before), out.len > 0 ? before + len : len);
        nvl_strv_push(&there, tag);
        value += before + len;
    }
    for (size_t i = 0; i < tags->count; i++)
        if (!nvl_strv_contains(&there, tags->items[i]))
            nvl_buf_addf(&out, "%s%s",
                         out.len > 0 && strchr(SEPARATORS, out.data[out.len - 1]) == NULL ? ";" : "",
                         tags->items[i]);
    return nvl_buf_take(&out);
}

/* The line that counts: the last one of the top section. n_lines for none. */
static size_t find_tags(const struct nvl_config *config)
{
    size_t found = config->n_lines;

    for (size_t i = 0; i < config->n_lines && config->lines[i].section == 0; i++)
        if (config->lines[i].kind == NVL_LINE_KEY && strcmp(config->lines[i].key, KEY) == 0)
            found = i;
    return found;
}

static const char *end_of(const struct nvl_config *config, const struct nvl_line *line)
{
    const char *text = config->text + line->start;
    size_t len = line->len;

    return len > 1 && text[len - 2] == '\r' && text[len - 1] == '\n' ? "\r\n"
           : len > 0 && text[len - 1] == '\n'                        ? "\n"
                                                                     : "";
}

/* Writes `line` (without an end; NULL for none) in place of the line at `at`, or before it. */
static void put_tags(struct nvl_plan *plan, const struct nvl_config *now, size_t at, bool is_there,
                     const char *line)
{
    struct nvl_buf out = {0};
    bool unfinished = now->len > 0 && now->text[now->len - 1] != '\n';
    size_t start = at < now->n_lines ? now->lines[at].start : now->len,
           rest = is_there ? start + now->lines[at].len : start;

    nvl_buf_add(&out, now->text, start);
    if (line != NULL && out.len > 0 && out.data[out.len - 1] != '\n')
        nvl_buf_add(&out, "\n", 1);
    if (line != NULL)
        nvl_buf_addf(&out, "%s%s", line, is_there ? end_of(now, &now->lines[at]) : "\n");
    nvl_buf_add(&out, now->text + rest, now->len - rest);
    /* as the plan does: a file whose last line had no end keeps that */
    if (unfinished && out.len > 0 && out.data[out.len - 1] == '\n')
        out.data[--out.len] = '\0';
    nvl_plan_clear(plan);
    plan->len = out.len;
    plan->text = nvl_buf_take(&out);
}

int nvl_plan_tag(struct nvl_plan *plan, const struct nvl_config *config, const struct nvl_strv *tags,
                 bool had_tags, struct nvl_error *err)
{
    nvl_auto(nvl_config_clear) struct nvl_config now = {0};

    int r = nvl_config_parse_next(&now, config, nvl_xstrndup(plan->text, plan->len), plan->len, err);
    if (r < 0)
        return r;
    size_t at = find_tags(&now);
    bool is_there = at < now.n_lines;
    nvl_autofree char *value = change_tags(is_there ? now.lines[at].value : "", tags, had_tags);
    nvl_autofree bool *goes = nvl_xcalloc(now.n_lines + 1, sizeof *goes);
    nvl_autofree char *line = value[0] != '\0' ? nvl_xasprintf(KEY ": %s", value) : NULL;
    if (strcmp(is_there ? now.lines[at].value : "", value) == 0)
        return 0;
    put_tags(plan, &now, is_there ? at : nvl_config_key_place(&now, goes, KEY), is_there, line);
    plan->changes =
        plan->len != config->len || (plan->len > 0 && memcmp(plan->text, config->text, plan->len) != 0);
    if (plan->len <= NVL_CONFIG_MAX)
        return 0;
    nvl_plan_clear(plan);
    return nvl_error_set(err, -EFBIG, "the tags would make the config larger than %u MiB",
                         NVL_CONFIG_MAX >> 20);
}
