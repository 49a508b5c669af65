/* Findings for people and for programs. */
#include "cli/findings_text.h"

#include "doctor/families.h"

#define COLUMNS 100

json_t *nvl_json_findings(const struct nvl_findings *findings)
{
    json_t *array = json_array();

    for (size_t i = 0; i < findings->count; i++) {
        const struct nvl_finding *f = &findings->items[i];
        json_array_append_new(array, json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:o}", "id", f->check->id,
                                               "severity", nvl_severity_name(f->severity), "scope",
                                               f->container != NULL ? f->container : "host", "title",
                                               f->title, "evidence", nvl_json_string(f->evidence), "cause",
                                               nvl_json_string(f->cause), "fix", nvl_json_string(f->fix)));
    }
    return array;
}

/* Each line of a text behind `indent` blanks. */
static void say_lines(const struct nvl_context *ctx, int indent, const char *text)
{
    size_t pos = 0, line_len, len = text != NULL ? strlen(text) : 0;
    const char *line;

    while (nvl_next_line(text, len, &pos, &line, &line_len))
        nvl_say(ctx, "%*s%.*s", indent, "", (int)line_len, line);
}

/* Broken at blanks; `first` stands before the first line, blanks of its length before the others. */
static void say_wrapped(const struct nvl_context *ctx, const char *first, const char *text)
{
    int indent = (int)strlen(first);
    size_t room = (size_t)(COLUMNS - indent);
    const char *before = first;

    while (*text != '\0') {
        size_t len = strcspn(text, "\n"), take = len;
        if (len > room) {
            for (take = room; take > 0 && text[take] != ' '; take--)
                ;
            if (take == 0) /* one long word */
                take = strcspn(text, " \n");
        }
        nvl_say(ctx, "%-*s%.*s", indent, before, (int)take, text);
        before = "";
        text += take;
        text += *text == ' ' || *text == '\n';
    }
}

static void print_finding(const struct nvl_context *ctx, size_t number, const struct nvl_finding *f)
{
    if (f->container != NULL)
        nvl_say(ctx, "%zu. %s, container %s: %s", number, nvl_severity_name(f->severity), f->container,
                f->title);
    else
        nvl_say(ctx, "%zu. %s: %s", number, nvl_severity_name(f->severity), f->title);
    say_lines(ctx, 7, f->evidence);
    if (f->cause != NULL)
        say_wrapped(ctx, "   why: ", f->cause);
    if (f->fix != NULL) {
        nvl_say(ctx, "   fix:");
        say_lines(ctx, 7, f->fix);
    }
    nvl_say(ctx, "%s", "");
}

static void add_count(struct nvl_strv *parts, size_t count, const char *word)
{
    if (count > 0)
        nvl_strv_pushf(parts, "%zu %s%s", count, word, count == 1 ? "" : "s");
}

/* "2 errors, 1 note" */
static char *count_findings(const struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv parts = {0};
    size_t counts[3] = {0};

    for (size_t i = 0; i < findings->count; i++)
        counts[findings->items[i].severity]++;
    for (enum nvl_severity s = NVL_SEVERITY_ERROR; s <= NVL_SEVERITY_NOTE; s++)
        add_count(&parts, counts[s], nvl_severity_name(s));
    return nvl_strv_join(&parts, ", ");
}

/* "the host and 2 containers (220, web)" */
static char *scope_text(const struct nvl_diagnosis *d)
{
    nvl_autofree char *names = nvl_strv_join(&d->containers, ", ");

    if (d->containers.count == 0)
        return nvl_xstrdup("the host; no container has a GPU");
    return nvl_xasprintf("the host and %zu container%s (%s)", d->containers.count,
                         d->containers.count == 1 ? "" : "s", names);
}

/* What was asked, by group: the all-clear is worth as much as its questions. */
static void print_questions(const struct nvl_context *ctx, const struct nvl_diagnosis *d)
{
    for (const struct nvl_family *family = nvl_families; family->name != NULL; family++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv questions = {0};
        nvl_autofree const struct nvl_check **checks = nvl_family_checks(family);
        for (size_t i = 0; checks[i] != NULL; i++)
            if (checks[i]->scope == NVL_SCOPE_HOST || d->containers.count > 0)
                nvl_strv_push(&questions, checks[i]->question);
        if (questions.count == 0)
            continue;
        nvl_autofree char *first = nvl_xasprintf("  %-18s", family->name);
        nvl_autofree char *text = nvl_strv_join(&questions, " ");
        say_wrapped(ctx, first, text);
    }
}

void nvl_diagnosis_print(const struct nvl_context *ctx, const struct nvl_diagnosis *d)
{
    nvl_autofree char *counts = count_findings(&d->findings), *scope = scope_text(d);

    for (size_t i = 0; i < d->findings.count; i++)
        print_finding(ctx, i + 1, &d->findings.items[i]);
    if (!nvl_findings_are_notes(&d->findings)) {
        nvl_say(ctx, "%s in %zu checks of %s", counts, d->asked, scope);
        return;
    }
    nvl_say(ctx, "nothing is wrong%s%s: %zu checks of %s", counts[0] != '\0' ? ", " : "", counts, d->asked,
            scope);
    print_questions(ctx, d);
}
