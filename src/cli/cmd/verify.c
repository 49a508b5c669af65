/* nvlxc verify: tries the GPU inside a container, and says which step fails and why. */
#include <stdio.h>
#include <unistd.h>

#include "base/fix.h"
#include "doctor/facts.h"
#include "verify/step.h"
#include "verify/verify.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "container/target.h"
#include "container/commands.h"
#include "cli/table.h"
#include "template/template.h"

struct verify_values {
    const char *workload, *user, *timeout;
};

static const struct nvl_option verify_options[] = {
    {"--workload", "NAME", "only this workload, or that of a template", NVL_OPTION_STRING,
     offsetof(struct verify_values, workload), .values = "@workloads"},
    {"--user", "NAME", "the workload's user", NVL_OPTION_STRING, offsetof(struct verify_values, user),
     .default_value = "that of a known service"},
    {"--timeout", "SECONDS", "limit for each command", NVL_OPTION_STRING,
     offsetof(struct verify_values, timeout), .default_value = "30 to 180, as needed"},
    {0},
};

/* "ollama, pytorch, …"; the caller frees. */
static char *list_workloads(void)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    for (size_t i = 0; nvl_verify_workloads[i] != NULL; i++)
        nvl_strv_push(&names, nvl_verify_workloads[i]);
    return nvl_strv_join(&names, ", ");
}

/* A workload, or a template whose workload it is (pytorch tries vLLM). NULL for NULL. */
static int find_workload(const char *asked, char **workload, struct nvl_error *err)
{
    struct nvl_template nvl_auto(nvl_template_clear) t = {0};
    bool is_known = asked == NULL;

    for (size_t i = 0; nvl_verify_workloads[i] != NULL && !is_known; i++)
        is_known = strcmp(nvl_verify_workloads[i], asked) == 0;
    if (!is_known && nvl_template_find(NULL, asked, &t, NULL) < 0) {
        nvl_autofree char *known = list_workloads();
        return nvl_error_usage(err, "unknown workload '%s': give %s, or the name of a template", asked,
                               known);
    }
    if (!is_known && t.verify == NULL)
        return nvl_error_usage(err, "the template '%s' has no \"verify\" key", asked);
    if (asked != NULL)
        *workload = nvl_xstrdup(is_known ? asked : t.verify);
    return 0;
}

static int read_verify_request(const struct verify_values *values, struct nvl_verify_request *request,
                               struct nvl_error *err)
{
    uint64_t seconds = 0;

    if (values->timeout != NULL && (nvl_parse_uint(values->timeout, 10, 3600, &seconds) < 0 || seconds == 0))
        return nvl_error_usage(err, "--timeout takes 1 to 3600 seconds, not '%s'", values->timeout);
    *request =
        (struct nvl_verify_request){.command = "verify", .user = values->user, .seconds = (unsigned)seconds};
    return 0;
}

static void print_steps_json(const char *name, const struct nvl_steps *steps)
{
    const struct nvl_step *failure = nvl_steps_first_failure(steps);
    json_t *array = json_array();

    for (size_t i = 0; i < steps->count; i++) {
        const struct nvl_step *s = &steps->items[i];
        json_array_append_new(array, json_pack("{s:s,s:s,s:o,s:o,s:o}", "id", s->id, "result",
                                               nvl_step_result_name(s->result), "evidence",
                                               nvl_json_string(s->evidence), "cause",
                                               nvl_json_string(s->cause), "fix", nvl_json_fix(s->fix)));
    }
    nvl_print_json(json_pack("{s:o,s:o,s:o}", "container", nvl_json_string(name), "first_failure",
                             nvl_json_string(failure != NULL ? failure->id : NULL), "steps", array));
}

/* Prints each line of a text, indented. */
static void say_step_lines(const struct nvl_context *ctx, const char *title, const char *text)
{
    const char *line;
    size_t len, pos = 0;

    while (text != NULL && nvl_next_line(text, strlen(text), &pos, &line, &len)) {
        nvl_autofree char *first = nvl_xasprintf("%-7s", title), *words = nvl_xstrndup(line, len);
        bool is_command = nvl_names_program(words, len);
        nvl_say_spans(ctx, (struct nvl_span){NVL_FAINT, first},
                      (const struct nvl_span[]){{is_command ? NVL_COMMAND : NVL_PLAIN, words}, {0}}, true);
        title = "";
    }
}

static void print(const struct nvl_context *ctx, const char *name, const struct nvl_steps *steps)
{
    static const char *const columns[] = {"STEP", "RESULT", "EVIDENCE", NULL};
    static const enum nvl_style styles[] = {
        [NVL_STEP_PASS] = NVL_GOOD, [NVL_STEP_FAIL] = NVL_WRONG, [NVL_STEP_SKIP] = NVL_FAINT};
    const struct nvl_step *failure = nvl_steps_first_failure(steps);
    struct nvl_table *table = nvl_table_new(columns);
    size_t passed = 0, skipped = 0;

    for (size_t i = 0; i < steps->count; i++) {
        const struct nvl_step *s = &steps->items[i];
        nvl_autofree char *result =
            nvl_xasprintf("%s%s", nvl_mark(styles[s->result]), nvl_step_result_name(s->result));
        const char *const cells[] = {s->id, result, s->evidence};
        nvl_table_row(table, cells);
        nvl_table_style(table, 1, styles[s->result]);
        passed += s->result == NVL_STEP_PASS;
        skipped += s->result == NVL_STEP_SKIP;
    }
    nvl_table_print(table, stdout);
    nvl_table_free(table);
    printf("\n");
    if (failure == NULL) {
        nvl_autofree char *counts = nvl_xasprintf(": %zu steps passed, %zu skipped.", passed, skipped),
                          *well = nvl_xasprintf("%s can use its GPU", name);
        const struct nvl_span spans[] = {{NVL_GOOD, well}, {NVL_PLAIN, counts}, {0}};
        nvl_say_spans(ctx, (struct nvl_span){NVL_GOOD, nvl_mark(NVL_GOOD)}, spans, true);
        return;
    }
    nvl_autofree char *first = nvl_xasprintf("The first step that failed is %s.", failure->id);
    nvl_say_spans(ctx, (struct nvl_span){NVL_WRONG, nvl_mark(NVL_WRONG)},
                  (const struct nvl_span[]){{NVL_TITLE, first}, {0}}, true);
    say_step_lines(ctx, "found:", failure->evidence);
    say_step_lines(ctx, "cause:", failure->cause);
    say_step_lines(ctx, "fix:", failure->fix);
}

static int verify_container(const struct nvl_context *ctx, const char *name,
                            struct nvl_verify_request *request, struct nvl_error *err)
{
    nvl_auto(nvl_host_facts_clear) struct nvl_host_facts host = {0};
    nvl_auto(nvl_container_facts_clear) struct nvl_container_facts facts = {.rootfs = NVL_ROOT_NONE};
    nvl_auto(nvl_steps_clear) struct nvl_steps steps = {0};

    nvl_progress(ctx, "looks at the host and at the container's config");
    int r = nvl_facts_read(&ctx->root, name, &host, &facts, err);
    if (r < 0)
        return r;
    nvl_autofree char *start = nvl_container_start(facts.container),
                      *restart = nvl_container_restart(facts.container);
    nvl_autofree char *word = nvl_shell_word(facts.name);
    request->name = word;
    request->start = start;
    request->restart = restart;
    request->note = nvl_progress_note;
    request->note_data = (void *)(uintptr_t)ctx;
    r = nvl_verify(&facts, request, &steps, err);
    nvl_progress_end();
    if (r < 0)
        return r;
    if (ctx->json)
        print_steps_json(facts.name, &steps);
    else if (!ctx->quiet)
        print(ctx, facts.name, &steps);
    return nvl_steps_first_failure(&steps) == NULL ? NVL_EXIT_OK : NVL_EXIT_FAILED;
}

static int run_verify(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                      struct nvl_error *err)
{
    const struct verify_values *values = data;
    struct nvl_verify_request request;
    nvl_autofree char *workload = NULL;

    int r = read_verify_request(values, &request, err);
    if (r == 0)
        r = find_workload(values->workload, &workload, err);
    request.workload = workload;
    return r < 0 ? r : verify_container(ctx, arguments->items[0], &request, err);
}

static const struct nvl_example verify_examples[] = {
    {"verify 101", "all steps, and the workloads that are found in CT 101"},
    {"verify 101 --workload ollama", "why Ollama does not use the GPU"},
    {"verify media --user plex", "as the user who transcodes"},
    {"--json verify 101 | jq -r .first_failure", "the step that failed, for a script"},
    {0},
};

const struct nvl_command nvl_cmd_verify = {
    .name = "verify",
    .arguments = "CT",
    .summary = "try the GPU inside a running container, step by step",
    .details = "It tries nodes, libraries, NVML, CUDA and the workloads that it finds: ollama,\n"
               "plex, emby, frigate, jellyfin, ffmpeg, immich, open-webui, pytorch,\n"
               "tensorflow, docker, podman. Each step is pass, fail or skip;\n"
               "the first that fails names its cause. It installs nothing in the container, and\n"
               "exits 1 if a step failed. podman and a running Docker start a container, without\n"
               "an image from elsewhere, and remove it; that has all rights of the CT's root.",
    .examples = verify_examples,
    .min_arguments = 1,
    .max_arguments = 1,
    .argument_values = "@granted",
    .options = verify_options,
    .values_size = sizeof(struct verify_values),
    .run = run_verify,
};
