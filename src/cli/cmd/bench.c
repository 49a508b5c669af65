/* nvlxc bench: the speed of a container's GPU, compared with the host's own. */
#include <stdio.h>
#include <stdlib.h>

#include "doctor/facts.h"
#include "verify/bench.h"
#include "verify/verify.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "container/commands.h"
#include "cli/table.h"

#define ROUNDS "5"

struct bench_values {
    const char *rounds, *target;
};

static const struct nvl_option bench_options[] = {
    {"--rounds", "N", "measurements on each side, for the median", NVL_OPTION_STRING,
     offsetof(struct bench_values, rounds), .default_value = ROUNDS},
    {"--target", "RATIO", "exit 1 if any ratio is lower, for example 0.99", NVL_OPTION_STRING,
     offsetof(struct bench_values, target)},
    {0},
};

struct bench_request {
    unsigned rounds;
    double target; /* 0: none */
};

static bool parse_ratio(const char *text, double *ratio)
{
    char *end;

    if (text[0] == '\0' || text[strspn(text, "0123456789.")] != '\0')
        return false;
    *ratio = strtod(text, &end);
    return *end == '\0' && *ratio > 0 && *ratio <= 2;
}

static int read_bench_request(const struct bench_values *values, struct bench_request *request,
                              struct nvl_error *err)
{
    const char *asked = values->rounds != NULL ? values->rounds : ROUNDS;
    uint64_t rounds;

    *request = (struct bench_request){0};
    if (nvl_parse_uint(asked, 10, 99, &rounds) < 0 || rounds == 0)
        return nvl_error_usage(err, "--rounds takes 1 to 99, not '%s'", asked);
    if (values->target != NULL && !parse_ratio(values->target, &request->target))
        return nvl_error_usage(err, "--target takes a ratio above 0 and up to 2, like 0.99, not '%s'",
                               values->target);
    request->rounds = (unsigned)rounds;
    return 0;
}

static const struct nvl_bench_measure *lowest(const struct nvl_bench *bench)
{
    const struct nvl_bench_measure *low = &bench->measures[0];

    for (size_t i = 1; i < NVL_BENCH_MEASURES; i++)
        if (bench->measures[i].ratio < low->ratio)
            low = &bench->measures[i];
    return low;
}

static void print_bench_json(const char *name, const struct bench_request *request,
                             const struct nvl_bench *bench)
{
    json_t *measures = json_array();

    for (size_t i = 0; i < NVL_BENCH_MEASURES; i++) {
        const struct nvl_bench_measure *m = &bench->measures[i];
        json_array_append_new(measures,
                              json_pack("{s:s,s:s,s:f,s:f,s:f}", "id", m->id, "unit", m->unit, "on_host",
                                        m->host, "in_container", m->container, "ratio", m->ratio));
    }
    nvl_print_json(json_pack("{s:o,s:{s:o,s:s},s:i,s:o,s:s,s:f,s:o}", "container", nvl_json_string(name),
                             "gpu", "model", nvl_json_string(bench->gpu), "uuid", bench->uuid, "rounds",
                             (int)bench->rounds, "target",
                             request->target > 0 ? json_real(request->target) : json_null(), "lowest",
                             lowest(bench)->id, "lowest_ratio", lowest(bench)->ratio, "measures", measures));
}

/* Three significant digits if there are as many; then the unit. */
static char *amount(double value, const char *unit)
{
    return nvl_xasprintf("%.*f %s", value < 10 ? 2 : value < 100 ? 1 : 0, value, unit);
}

static void print_bench_table(const struct nvl_context *ctx, const char *name,
                              const struct bench_request *request, const struct nvl_bench *bench)
{
    static const char *const columns[] = {"MEASURE", "HOST", "CONTAINER", "RATIO", NULL};
    const struct nvl_bench_measure *low = lowest(bench);
    struct nvl_table *table = nvl_table_new(columns);

    for (size_t i = 0; i < NVL_BENCH_MEASURES; i++) {
        const struct nvl_bench_measure *m = &bench->measures[i];
        nvl_autofree char *host = amount(m->host, m->unit), *container = amount(m->container, m->unit);
        nvl_autofree char *ratio = nvl_xasprintf("%.3f", m->ratio);
        const char *const cells[] = {m->title, host, container, ratio};
        nvl_table_row(table, cells);
    }
    nvl_table_print(table, stdout);
    nvl_table_free(table);
    printf("\n");
    nvl_say_fact(ctx, "", "%s in %s, medians of %u rounds; a ratio of 1 is the host's own speed.", bench->gpu,
                 name, bench->rounds);
    nvl_say(ctx, "The lowest ratio is %.3f: %s.", low->ratio, low->title);
    if (request->target > 0)
        nvl_say_styled(ctx, low->ratio < request->target ? NVL_WRONG : NVL_GOOD, "The target of %g is %s.",
                       request->target, low->ratio < request->target ? "missed" : "met");
}

static int bench_container(const struct nvl_context *ctx, const char *name,
                           const struct bench_request *request, struct nvl_error *err)
{
    nvl_auto(nvl_host_facts_clear) struct nvl_host_facts host = {0};
    nvl_auto(nvl_container_facts_clear) struct nvl_container_facts facts = {.rootfs = NVL_ROOT_NONE};
    struct nvl_bench bench;

    int r = nvl_facts_read(&ctx->root, name, &host, &facts, err);
    if (r < 0)
        return r;
    nvl_autofree char *start = nvl_container_start(facts.container), *word = nvl_shell_word(facts.name);
    const struct nvl_verify_request inside = {.command = "bench",
                                              .name = word,
                                              .start = start,
                                              .note = nvl_progress_note,
                                              .note_data = (void *)(uintptr_t)ctx};
    r = nvl_bench(&facts, &inside, request->rounds, &bench, err);
    nvl_progress_end();
    if (r < 0)
        return r;
    if (ctx->json)
        print_bench_json(facts.name, request, &bench);
    else if (!ctx->quiet)
        print_bench_table(ctx, facts.name, request, &bench);
    return lowest(&bench)->ratio < request->target ? NVL_EXIT_FAILED : NVL_EXIT_OK;
}

static int run_bench(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                     struct nvl_error *err)
{
    struct bench_request request;

    int r = read_bench_request(data, &request, err);
    return r < 0 ? r : bench_container(ctx, arguments->items[0], &request, err);
}

static const struct nvl_example bench_examples[] = {
    {"bench 101", "five rounds, about 20 seconds"},
    {"bench 101 --rounds 15 --target 0.99", "exit 1 if CT 101 is more than 1 % slower"},
    {"--json bench 101 | jq .lowest_ratio", "the lowest ratio, for a script"},
    {0},
};

const struct nvl_command nvl_cmd_bench = {
    .name = "bench",
    .arguments = "CT",
    .group = NVL_GROUP_WATCH,
    .summary = "compare CUDA speed in a running container with the host",
    .details = "Both sides run the same CUDA work on the container's first GPU. It exits 1 if a\n"
               "ratio is below --target.",
    .examples = bench_examples,
    .min_arguments = 1,
    .max_arguments = 1,
    .argument_values = "@granted",
    .options = bench_options,
    .values_size = sizeof(struct bench_values),
    .run = run_bench,
};
