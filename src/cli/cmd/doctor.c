/* nvlxc doctor: finds what is wrong with this host and its containers, why, and how to fix it. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/doctor_fix.h"
#include "cli/progress.h"
#include "doctor/families.h"
#include "doctor/notify.h"
#include "doctor/report.h"
#include "base/fix.h"
#include "cluster/moves.h"
#include "cluster/view.h"
#include "base/paths.h"

#define FINDING_INDENT "       "

struct doctor_values {
    const char *notify;
    bool report, deep, fix, yes, cluster;
};

static const struct nvl_option doctor_options[] = {
    {"--report", NULL, "print Markdown to post, without names and addresses", NVL_OPTION_FLAG,
     offsetof(struct doctor_values, report)},
    {"--deep", NULL, "read the driver bundles and verify their checksums", NVL_OPTION_FLAG,
     offsetof(struct doctor_values, deep)},
    {"--fix", NULL, "carry out the fixes that are nvlxc's own; asks before each", NVL_OPTION_FLAG,
     offsetof(struct doctor_values, fix)},
    {"--yes", NULL, "with --fix: do not ask", NVL_OPTION_FLAG, offsetof(struct doctor_values, yes)},
    {"--cluster", NULL, "look at the nodes of the Proxmox cluster instead", NVL_OPTION_FLAG,
     offsetof(struct doctor_values, cluster)},
    {"--notify", "COMMAND", "tell COMMAND what has come and gone since the last run", NVL_OPTION_STRING,
     offsetof(struct doctor_values, notify)},
    {0},
};

/* "/etc/pve/lxc/223.conf:11: lxc.cgroup2…", a link: what a file says is not broken. */
static bool is_quotation(const char *line)
{
    size_t len = strcspn(line, " ");

    return (len > 0 && line[len - 1] == ':') || strstr(line, " -> ") != NULL;
}

static void say_evidence(const struct nvl_context *ctx, const char *evidence)
{
    size_t pos = 0, line_len, len = evidence != NULL ? strlen(evidence) : 0;
    const char *line;

    while (nvl_next_line(evidence, len, &pos, &line, &line_len)) {
        nvl_autofree char *text = nvl_xstrndup(line, line_len);
        if (is_quotation(text))
            nvl_say_styled(ctx, NVL_FAINT, FINDING_INDENT "%s", text);
        else
            nvl_say_spans(ctx, (struct nvl_span){NVL_PLAIN, FINDING_INDENT},
                          (const struct nvl_span[]){{NVL_FAINT, text}, {0}}, true);
    }
}

/* Commands stand alone, one a line; a sentence is wrapped. */
static void say_fix(const struct nvl_context *ctx, const char *fix)
{
    size_t pos = 0, line_len;
    const char *line;

    while (nvl_next_line(fix, strlen(fix), &pos, &line, &line_len)) {
        size_t blanks = strspn(line, " ");
        nvl_autofree char *text = nvl_xstrndup(line + blanks, line_len - blanks),
                          *first = nvl_xasprintf(FINDING_INDENT "%*s", (int)blanks, "");
        bool is_command = nvl_names_program(text, strlen(text));
        nvl_say_spans(ctx, (struct nvl_span){NVL_PLAIN, first},
                      (const struct nvl_span[]){{is_command ? NVL_COMMAND : NVL_PLAIN, text}, {0}}, true);
    }
}

static void say_headline(const struct nvl_context *ctx, size_t number, const struct nvl_finding *f)
{
    static const enum nvl_style styles[] = {[NVL_SEVERITY_ERROR] = NVL_WRONG,
                                            [NVL_SEVERITY_WARNING] = NVL_CAREFUL,
                                            [NVL_SEVERITY_NOTE] = NVL_TITLE};
    enum nvl_style style = styles[f->severity];
    nvl_autofree char *first = nvl_xasprintf("%zu. ", number),
                      *severity = nvl_xasprintf("%s%s", nvl_mark(style), nvl_severity_name(f->severity)),
                      *where = nvl_xasprintf("%s%s: ", f->container != NULL ? ", container " : "",
                                             f->container != NULL ? f->container : "");
    const struct nvl_span spans[] = {{style, severity}, {NVL_PLAIN, where}, {NVL_TITLE, f->title}, {0}};

    nvl_say_spans(ctx, (struct nvl_span){NVL_PLAIN, first}, spans, false);
}

static void print_whole_finding(const struct nvl_context *ctx, size_t number, const struct nvl_finding *f)
{
    say_headline(ctx, number, f);
    say_evidence(ctx, f->evidence);
    if (f->cause != NULL)
        nvl_say_wrapped(ctx, "   why: ", f->cause);
    if (f->fix != NULL) {
        nvl_say(ctx, "   fix:");
        say_fix(ctx, f->fix);
    }
    nvl_say(ctx, "%s", "");
}

/* The output of --quiet: the titles of errors and warnings. */
static void print_titles(const struct nvl_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        nvl_autofree char *line = nvl_finding_headline(&findings->items[i]);
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

/* Lists the questions that were asked, by group: an all-clear is worth as much as its questions. `scopes`:
 * bits by their numbers. */
static void print_questions(const struct nvl_context *ctx, unsigned scopes)
{
    for (const struct nvl_check_family *family = nvl_check_families; family->name != NULL; family++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv questions = {0};
        nvl_autofree const struct nvl_check **checks = nvl_family_checks(family);
        for (size_t i = 0; checks[i] != NULL; i++)
            if ((scopes & 1u << checks[i]->scope) != 0)
                nvl_strv_push(&questions, checks[i]->question);
        if (questions.count == 0)
            continue;
        nvl_autofree char *first = nvl_xasprintf("  %-18s", family->name);
        nvl_autofree char *text = nvl_strv_join(&questions, " ");
        nvl_say_wrapped(ctx, first, text);
    }
}

static void print_findings_json(const struct nvl_findings *findings, size_t asked)
{
    nvl_print_json(
        json_pack("{s:o,s:I}", "findings", nvl_json_findings(findings), "checked", (json_int_t)asked));
}

/* `scope`: what was looked at, in words. */
static void print_findings(const struct nvl_context *ctx, const struct nvl_findings *findings, size_t asked,
                           const char *scope, unsigned scopes)
{
    nvl_autofree char *counts = count_findings(findings);

    for (size_t i = 0; i < findings->count; i++)
        print_whole_finding(ctx, i + 1, &findings->items[i]);
    if (!nvl_findings_are_notes(findings)) {
        nvl_autofree char *all = nvl_xasprintf("%s in %zu checks of %s", counts, asked, scope);
        nvl_say_wrapped(ctx, "", all);
        return;
    }
    nvl_autofree char *all =
        nvl_xasprintf("%s%s: %zu checks of %s", counts[0] != '\0' ? ", " : "", counts, asked, scope);
    const struct nvl_span spans[] = {{NVL_GOOD, "nothing is wrong"}, {NVL_PLAIN, all}, {0}};
    nvl_say_spans(ctx, (struct nvl_span){NVL_GOOD, nvl_mark(NVL_GOOD)}, spans, false);
    print_questions(ctx, scopes);
}

static void print_diagnosis(const struct nvl_context *ctx, const struct nvl_diagnosis *d)
{
    nvl_autofree char *scope = scope_text(d);

    print_findings(ctx, &d->findings, d->asked, scope,
                   1u << NVL_SCOPE_HOST | (d->containers.count > 0 ? 1u << NVL_SCOPE_CONTAINER : 0));
}

/* Between the nodes of a cluster. Each node's own findings are its own doctor's. */
static int run_cluster(const struct nvl_context *ctx, struct nvl_error *err)
{
    nvl_auto(nvl_cluster_view_clear) struct nvl_cluster_view v = {0};
    nvl_auto(nvl_moves_clear) struct nvl_moves moves = {0};
    nvl_auto(nvl_findings_clear) struct nvl_findings findings = {0};
    const struct nvl_cluster_facts facts = {&v.cluster, &v.guests, &moves};
    size_t asked = 0;

    int r = nvl_cluster_view_open(ctx, &v, err);
    if (r == 0)
        r = nvl_moves_read(&ctx->root, &moves, err);
    if (r < 0)
        return r;
    nvl_check_cluster(&facts, &findings, &asked);
    nvl_findings_finish(&findings);
    if (ctx->json) {
        print_findings_json(&findings, asked);
    } else if (ctx->quiet) {
        print_titles(&findings);
    } else {
        nvl_autofree char *scope = nvl_xasprintf("the %zu nodes of the cluster", v.cluster.count);
        print_findings(ctx, &findings, asked, scope, 1u << NVL_SCOPE_CLUSTER);
    }
    return nvl_findings_are_notes(&findings) ? NVL_EXIT_OK : NVL_EXIT_FAILED;
}

static int check_notify(const struct nvl_context *ctx, const char *container,
                        const struct doctor_values *values, struct nvl_error *err)
{
    if (!nvl_root_is_machine(&ctx->root))
        return nvl_error_usage(err, "doctor: --notify tells what this machine's last run did not find, so it "
                                    "does not take --root");
    if (container != NULL)
        return nvl_error_usage(
            err, "doctor: --notify looks at the host and all containers, so it takes no container ('%s')",
            container);
    if (values->fix || values->report)
        return nvl_error_usage(err, "doctor: --notify goes with neither --fix nor --report");
    if (values->notify[0] == '\0')
        return nvl_error_usage(err, "doctor: --notify needs a command for /bin/sh");
    if (geteuid() == 0)
        return 0;
    nvl_error_host(err, -EPERM, "only root can run doctor --notify: it keeps what it has told in %s",
                   NVL_DOCTOR_DIR);
    nvl_error_hint(err, "run it as root");
    return -EPERM;
}

static void say_last_run(const struct nvl_context *ctx, enum nvl_last_run last)
{
    if (last == NVL_LAST_MISSING)
        nvl_say_fact(ctx, "", "no last run is known: all findings are new");
    else if (last == NVL_LAST_DAMAGED)
        nvl_warn("no last run is known, for the file of it in %s is damaged: all findings are new",
                 NVL_DOCTOR_DIR);
}

static void say_news(const struct nvl_context *ctx, const struct nvl_news *news)
{
    nvl_autofree char *summary = nvl_news_summary(news);

    say_last_run(ctx, news->last);
    if (news->n_beyond > 0)
        nvl_warn(
            "%zu more findings are new and were not told, since %d are remembered at most; see them all: "
            "nvlxc doctor",
            news->n_beyond, NVL_TOLD_MAX);
    if (news->n_silent > 0)
        nvl_say_fact(ctx, "", "%zu earlier finding%s could not be looked for this time", news->n_silent,
                     news->n_silent == 1 ? "" : "s");
    if (summary[0] == '\0')
        nvl_say_fact(ctx, "", "nothing has come or gone, so the command was not run");
    else
        nvl_say_fact(ctx, "", "the command was told: %s", summary);
}

static int run_notify(struct nvl_context *ctx, const char *container, const struct doctor_values *values,
                      struct nvl_error *err)
{
    const struct nvl_notify order = {
        .command = values->notify, .deep = values->deep, .spares_output = ctx->json};
    nvl_auto(nvl_news_clear) struct nvl_news news = {0};

    int r = check_notify(ctx, container, values, err);
    if (r == 0)
        r = nvl_notify(&ctx->root, &order, &news, err);
    nvl_warn_all(&news.diagnosis.warnings);
    if (r < 0)
        return r;
    say_news(ctx, &news);
    return ctx->json ? nvl_print_json(nvl_json_news(&news)) : NVL_EXIT_OK;
}

static int run_checks(struct nvl_context *ctx, const char *container, const struct doctor_values *values,
                      struct nvl_error *err)
{
    nvl_auto(nvl_diagnosis_clear) struct nvl_diagnosis d = {0};

    nvl_progress(ctx, values->deep ? "reads the host, its containers, and all of the driver bundles"
                                   : "reads the host and its containers");
    int r = nvl_diagnose(&ctx->root, container, NVL_FACTS_ANEW, values->deep, &d, err);
    nvl_progress_end();
    if (r < 0)
        return r;
    nvl_warn_all(&d.warnings);
    if (ctx->json) {
        print_findings_json(&d.findings, d.asked);
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

static int run_doctor(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                      struct nvl_error *err)
{
    const struct doctor_values *values = data;
    const char *container = arguments->count > 0 ? arguments->items[0] : NULL;
    bool is_more =
        container != NULL || values->fix || values->report || values->deep || values->notify != NULL;

    if (values->yes && !values->fix)
        return nvl_error_usage(err, "doctor: --yes goes with --fix");
    if (values->cluster && is_more)
        return nvl_error_usage(err, "doctor: --cluster looks at all nodes, and takes neither a container nor "
                                    "--report, --deep, --fix or --notify");
    if (values->cluster)
        return run_cluster(ctx, err);
    if (values->notify != NULL)
        return run_notify(ctx, container, values, err);
    int r = values->fix ? nvl_doctor_fix(ctx, container, values->deep, values->yes, err) : 0;
    return r < 0 ? r : run_checks(ctx, container, values, err);
}

static const struct nvl_example doctor_examples[] = {
    {"doctor", "this host and all its containers"},
    {"doctor 101", "why CT 101 has no GPU, or will lose it"},
    {"doctor --report > report.md", "to post in a forum"},
    {"doctor --cluster", "what the nodes of a cluster have, and where containers may go"},
    {"doctor --notify /usr/local/sbin/tell-me", "run this program when something comes or goes"},
    {0},
};

const struct nvl_command nvl_cmd_doctor = {
    .name = "doctor",
    .arguments = "[CT]",
    .summary = "find what is wrong, why, and the command that fixes it",
    .details = "doctor always checks the host; with it the container CT, or all containers:\n"
               "their configs, and the root file systems of those that have a grant or NVIDIA\n"
               "lines written by hand. Without --fix it mends nothing.\n"
               "\n"
               "A finding is an error (it keeps a container from its GPU, now or at its next\n"
               "start), a warning (it will, or it keeps some programs from the GPU) or a note\n"
               "(nothing is wrong). --quiet prints only the titles of errors and warnings,\n"
               "--report leaves out names, addresses and secrets.\n"
               "\n"
               "--fix shows each fix that is nvlxc's own (device nodes, bundles, attaching again,\n"
               "nvlxc's units), asks, runs its commands, and then looks again. It never installs\n"
               "packages, edits other programs' files, restarts a container or the host: these\n"
               "fixes stay yours.\n"
               "\n"
               "--cluster asks what lies between the nodes of a Proxmox cluster instead: whether\n"
               "each publishes what it has (`nvlxc host publish`), whether a container has its GPU\n"
               "on its node, and has it, with the same driver, where HA and replication may start\n"
               "it. Each node's own faults are told by doctor there.\n"
               "\n"
               "--notify is for a timer (nvlxc-doctor.timer). It compares errors and warnings with\n"
               "those of the last run, and only if some came or went runs COMMAND, by /bin/sh.\n"
               "COMMAND reads from standard input what is new, with cause and fix, and what has\n"
               "gone; its environment has the first line of that (NVLXC_SUBJECT) and the two\n"
               "counts (NVLXC_NEW, NVLXC_GONE). If it fails, or takes over 60 seconds, the next\n"
               "run tells the same again.\n"
               "\n"
               "Exit status: 0 no error and no warning was found, 1 otherwise. With --notify: 0 all\n"
               "that was to be told was told, whatever was found; 1 otherwise.",
    .examples = doctor_examples,
    .max_arguments = 1,
    .argument_values = "@containers",
    .options = doctor_options,
    .values_size = sizeof(struct doctor_values),
    .run = run_doctor,
};
