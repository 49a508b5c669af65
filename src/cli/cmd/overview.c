/* nvlxc overview, and nvlxc alone: this host in six lines, and what to do next. */
#include "cli/command.h"
#include "container/target.h"
#include "doctor/diagnose.h"
#include "grant/grant.h"

#define GPU_LINES 3
#define NAMES_MAX 8

struct counts {
    size_t gpus, usable, errors, warnings;
};

static void count(const struct nvl_diagnosis *d, struct counts *n)
{
    const struct nvl_gpus *gpus = &d->facts.host.gpus;

    for (size_t i = 0; i < gpus->count; i++) {
        enum nvl_gpu_state state = nvl_gpu_state(&gpus->items[i]);
        n->gpus += state != NVL_GPU_IS_VIRTUAL;
        n->usable += state == NVL_GPU_IS_USABLE;
    }
    for (size_t i = 0; i < d->findings.count; i++) {
        n->errors += d->findings.items[i].severity == NVL_SEVERITY_ERROR;
        n->warnings += d->findings.items[i].severity == NVL_SEVERITY_WARNING;
    }
}

/* "NVIDIA RTX A5500 Laptop GPU", as it is known, and its state unless it is usable. */
static void add_gpus(const struct nvl_gpus *gpus, struct nvl_strv *lines)
{
    for (size_t i = 0; i < gpus->count; i++) {
        const struct nvl_gpu *gpu = &gpus->items[i];
        enum nvl_gpu_state state = nvl_gpu_state(gpu);
        nvl_autofree char *remark = nvl_gpu_remark(gpu);
        if (state == NVL_GPU_IS_VIRTUAL)
            continue;
        nvl_strv_pushf(lines, "%s%s%s", gpu->model[0] != '\0' ? gpu->model : gpu->pci,
                       remark != NULL ? ", " : "", remark != NULL ? remark : "");
    }
}

/* "220, 221, web and 4 more" */
static char *name_some(const struct nvl_strv *names)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv some = {0};

    for (size_t i = 0; i < names->count && i < NAMES_MAX; i++)
        nvl_strv_push(&some, names->items[i]);
    nvl_autofree char *list = nvl_strv_join(&some, ", ");
    return names->count > NAMES_MAX ? nvl_xasprintf("%s and %zu more", list, names->count - NAMES_MAX)
                                    : TAKE_PTR(list);
}

static char *describe_findings(const struct nvl_diagnosis *d, const struct counts *n)
{
    const struct nvl_finding *first = d->findings.count > 0 ? &d->findings.items[0] : NULL;

    if (n->errors + n->warnings == 0)
        return nvl_xstrdup("nothing");
    return nvl_xasprintf("%s%s%s%s", first->container != NULL ? "container " : "",
                         first->container != NULL ? first->container : "",
                         first->container != NULL ? ": " : "", first->title);
}

/* A container of this node that could get a GPU: the first. As a word for a shell, since a user may
 * have chosen the name; NULL for none; the caller frees. */
static char *first_container(const struct nvl_diagnosis *d)
{
    const struct nvl_containers *all = &d->facts.containers;

    if (all->count == 0)
        return NULL;
    nvl_autofree struct nvl_container *c = nvl_container_at(all, 0);
    nvl_autofree char *name = nvl_container_full_name(all, c);
    return nvl_shell_word(name);
}

/* One command, and what it is for. */
static void choose_next(const struct nvl_diagnosis *d, const struct counts *n, char **command,
                        const char **why)
{
    nvl_autofree char *container = first_container(d);

    if (n->gpus == 0) {
        *command = nvl_xstrdup("nvlxc help");
        *why = "what nvlxc does on a host with an NVIDIA GPU";
    } else if (!d->facts.host.driver.loaded) {
        *command = nvl_xstrdup("nvlxc host setup --dry-run");
        *why = "the steps to a driver that fits";
    } else if (n->errors + n->warnings > 0) {
        *command = nvl_xstrdup("nvlxc doctor");
        *why = "why, and the command that fixes it";
    } else if (d->containers.count > 0) {
        nvl_autofree char *word = nvl_shell_word(d->containers.items[0]);
        *command = nvl_xasprintf("nvlxc verify %s", word);
        *why = "tries the GPU from inside";
    } else if (container != NULL) {
        *command = nvl_xasprintf("nvlxc attach %s%s --dry-run", container, n->usable > 1 ? " --gpu 0" : "");
        *why = "gives it a GPU; shows it first";
    } else {
        *command = nvl_xstrdup("nvlxc template");
        *why = "configs for a first container";
    }
}

/* One subject of the overview. */
static void say_subject(const struct nvl_context *ctx, const char *subject, enum nvl_style style,
                        const char *text)
{
    nvl_say_spans(ctx, (struct nvl_span){NVL_FAINT, subject}, (const struct nvl_span[]){{style, text}, {0}},
                  false);
}

static void say_gpus(const struct nvl_context *ctx, const struct nvl_strv *gpus)
{
    for (size_t i = 0; i < gpus->count && i < GPU_LINES; i++)
        say_subject(ctx, "GPU      ", NVL_PLAIN, gpus->items[i]);
    if (gpus->count > GPU_LINES)
        nvl_say(ctx, "         and %zu more: nvlxc gpus", gpus->count - GPU_LINES);
    if (gpus->count == 0)
        say_subject(ctx, "GPU      ", NVL_PLAIN, "none");
}

static void print_overview(const struct nvl_context *ctx, const struct nvl_diagnosis *d,
                           const struct counts *n)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv gpus = {0};
    nvl_autofree char *driver = nvl_loaded_driver_text(&d->facts.host.driver),
                      *names = name_some(&d->containers), *wrong = describe_findings(d, n), *command = NULL;
    const char *why;

    choose_next(d, n, &command, &why);
    add_gpus(&d->facts.host.gpus, &gpus);
    nvl_autofree char *remark = nvl_xasprintf("   # %s", why);
    const struct nvl_span next[] = {{NVL_COMMAND, command}, {NVL_FAINT, remark}, {0}};
    say_subject(ctx, "driver   ", NVL_PLAIN, driver);
    say_gpus(ctx, &gpus);
    say_subject(ctx, "used by  ", NVL_PLAIN, d->containers.count > 0 ? names : "no container");
    enum nvl_style style = n->errors > 0 ? NVL_WRONG : n->warnings > 0 ? NVL_CAREFUL : NVL_GOOD;
    nvl_autofree char *marked = nvl_xasprintf("%s%s", nvl_mark(style), wrong);
    say_subject(ctx, "wrong    ", style, marked);
    nvl_say_spans(ctx, (struct nvl_span){NVL_FAINT, "next     "}, next, false);
    say_subject(ctx, "help     ", NVL_COMMAND, "nvlxc help");
}

static json_t *json_named(const struct nvl_strv *containers)
{
    json_t *array = json_array();

    for (size_t i = 0; i < containers->count; i++)
        json_array_append_new(array, json_pack("{s:o}", "container", nvl_json_text(containers->items[i])));
    return array;
}

static int print_overview_json(const struct nvl_diagnosis *d, const struct counts *n)
{
    nvl_autofree char *command = NULL;
    const char *why;

    choose_next(d, n, &command, &why);
    return nvl_print_json(
        json_pack("{s:o,s:o,s:o,s:i,s:i,s:{s:s,s:o}}", "driver", nvl_json_driver(&d->facts.host.driver),
                  "gpus", nvl_json_gpus(&d->facts.host.gpus), "containers", json_named(&d->containers),
                  "error_count", (int)n->errors, "warning_count", (int)n->warnings, "next", "text", why,
                  "command", nvl_json_text(command)));
}

static int run_overview(struct nvl_context *ctx, const struct nvl_strv *arguments, void *values,
                        struct nvl_error *err)
{
    nvl_auto(nvl_diagnosis_clear) struct nvl_diagnosis d = {0};
    struct counts n = {0};

    (void)arguments;
    (void)values;
    int r = nvl_diagnose(&ctx->root, NULL, NVL_FACTS_QUICK, false, &d, err);
    if (r < 0)
        return r;
    count(&d, &n);
    if (ctx->json)
        print_overview_json(&d, &n);
    else
        print_overview(ctx, &d, &n);
    if (n.gpus == 0 || !d.facts.host.driver.loaded)
        return NVL_EXIT_HOST;
    return n.errors + n.warnings == 0 ? NVL_EXIT_OK : NVL_EXIT_FAILED;
}

static const struct nvl_example overview_examples[] = {
    {"", "the host, its GPUs, the containers that have them, and what to do next"},
    {"--root /tmp/host", "a captured host, unpacked in /tmp/host"},
    {"--json | jq -r .next", "only the command to type next"},
    {0},
};

const struct nvl_command nvl_cmd_overview = {
    .name = "overview",
    .arguments = "",
    .summary = "this host in six lines, and what to do next",
    .details = "The driver, the GPUs, the containers that have them, the worst of what is wrong,\n"
               "and the next command: what nvlxc says without a command. 'nvlxc doctor' has all that\n"
               "is wrong.\n"
               "\n"
               "Exit status: 0 all is well, 1 something is wrong, 3 there is no NVIDIA GPU or\n"
               "its driver is not loaded.",
    .examples = overview_examples,
    .run = run_overview,
};
