/* nvlxc doctor: finds what is wrong with this host and its containers, why, and how to fix it. */
#include <stdio.h>

#include "cli/command.h"
#include "doctor/families.h"
#include "doctor/report.h"

#define COLUMNS 100

struct doctor_values {
    bool report, deep;
};

static const struct nvl_option doctor_options[] = {
    {"--report", NULL, "print Markdown to post, without names and addresses", NVL_OPTION_FLAG,
     offsetof(struct doctor_values, report)},
    {"--deep", NULL, "read the driver bundles and verify their checksums", NVL_OPTION_FLAG,
     offsetof(struct doctor_values, deep)},
    {0},
};

static json_t *json_findings(const struct nvl_findings *findings)
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

/* Prints each line of a text after `indent` blanks. */
static void say_indented(const struct nvl_context *ctx, int indent, const char *text)
{
    size_t pos = 0, line_len, len = text != NULL ? strlen(text) : 0;
    const char *line;

    while (nvl_next_line(text, len, &pos, &line, &line_len))
        nvl_say(ctx, "%*s%.*s", indent, "", (int)line_len, line);
}

/* Wraps at blanks; `first` precedes the first line, as many blanks precede the others. */
static void say_wrapped(const struct nvl_context *ctx, const char *first, const char *text)
{
    int indent = (int)strlen(first);
    const char *before = first, *line;
    size_t len;

    while (nvl_next_wrapped(&text, (size_t)(COLUMNS - indent), &line, &len)) {
        nvl_say(ctx, "%-*s%.*s", indent, before, (int)len, line);
        before = "";
    }
}

/* "error, container 220: …"; the caller frees. */
static char *headline(const struct nvl_finding *f)
{
    const char *severity = nvl_severity_name(f->severity);

    return f->container != NULL ? nvl_xasprintf("%s, container %s: %s", severity, f->container, f->title)
                                : nvl_xasprintf("%s: %s", severity, f->title);
}

static void print_whole_finding(const struct nvl_context *ctx, size_t number, const struct nvl_finding *f)
{
    nvl_autofree char *line = headline(f);

    nvl_say(ctx, "%zu. %s", number, line);
    say_indented(ctx, 7, f->evidence);
    if (f->cause != NULL)
        say_wrapped(ctx, "   why: ", f->cause);
    if (f->fix != NULL) {
        nvl_say(ctx, "   fix:");
        say_indented(ctx, 7, f->fix);
    }
    nvl_say(ctx, "%s", "");
}

/* The output of --quiet: the titles of errors and warnings. */
static void print_titles(const struct nvl_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        nvl_autofree char *line = headline(&findings->items[i]);
        if (findings->items[i].severity != NVL_SEVERITY_NOTE)
            puts(line);
    }
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

/* Lists the questions that were asked, by group: an all-clear is worth as much as its questions. */
static void print_questions(const struct nvl_context *ctx, const struct nvl_diagnosis *d)
{
    for (const struct nvl_check_family *family = nvl_check_families; family->name != NULL; family++) {
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

static void print_diagnosis(const struct nvl_context *ctx, const struct nvl_diagnosis *d)
{
    nvl_autofree char *counts = count_findings(&d->findings), *scope = scope_text(d);

    for (size_t i = 0; i < d->findings.count; i++)
        print_whole_finding(ctx, i + 1, &d->findings.items[i]);
    if (!nvl_findings_are_notes(&d->findings)) {
        nvl_say(ctx, "%s in %zu checks of %s", counts, d->asked, scope);
        return;
    }
    nvl_say(ctx, "nothing is wrong%s%s: %zu checks of %s", counts[0] != '\0' ? ", " : "", counts, d->asked,
            scope);
    print_questions(ctx, d);
}

static int run_doctor(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                      struct nvl_error *err)
{
    const struct doctor_values *values = data;
    nvl_auto(nvl_diagnosis_clear) struct nvl_diagnosis d = {0};

    int r = nvl_diagnose(&ctx->root, arguments->count > 0 ? arguments->items[0] : NULL, NVL_FACTS_ANEW,
                         values->deep, &d, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < d.warnings.count; i++)
        nvl_warn("%s", d.warnings.items[i]);
    if (ctx->json) {
        nvl_print_json(
            json_pack("{s:o,s:I}", "findings", json_findings(&d.findings), "checked", (json_int_t)d.asked));
    } else if (values->report) {
        nvl_autofree char *text = nvl_diagnosis_report(&d);
        fputs(text, stdout);
    } else if (ctx->quiet) {
        print_titles(&d.findings);
    } else {
        print_diagnosis(ctx, &d);
    }
    return nvl_findings_are_notes(&d.findings) ? NVL_EXIT_OK : NVL_EXIT_FAILED;
}

const struct nvl_command nvl_cmd_doctor = {
    .name = "doctor",
    .arguments = "[CT]",
    .summary = "find what is wrong, why, and the command that fixes it",
    .details = "doctor always checks the host; with it the container CT, or all containers:\n"
               "their configs, and the root file systems of those that have a grant or NVIDIA\n"
               "lines written by hand. It changes nothing.\n"
               "\n"
               "A finding is an error (it keeps a container from its GPU, now or at its next\n"
               "start), a warning (it will, or it keeps some programs from the GPU) or a note\n"
               "(nothing is wrong). --quiet prints only the titles of errors and warnings,\n"
               "--report leaves out names, addresses and secrets.\n"
               "\n"
               "Exit status: 0 no error and no warning was found, 1 otherwise.",
    .max_arguments = 1,
    .options = doctor_options,
    .values_size = sizeof(struct doctor_values),
    .run = run_doctor,
};
