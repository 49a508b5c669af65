/* nvlxc create: from a workload template to a container in which the workload runs on the GPU. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/run.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/globals.h"
#include "cli/progress.h"
#include "create/run.h"
#include "create/request.h"
#include "host/system.h"

struct create_values {
    const char *ctid, *hostname, *storage, *bridge, *ip, *gateway, *ostype, *entrypoint, *archive;
    const char *cores, *memory, *swap, *disk;
    struct nvl_strv gpus;
    bool oci, dry_run, yes, undo;
};

#define OPTION(member) offsetof(struct create_values, member)

static const struct nvl_option create_options[] = {
    {"--ctid", "N", "the Proxmox CT's number", NVL_OPTION_STRING, OPTION(ctid),
     .default_value = "the next free one"},
    {"--hostname", "NAME", "the container's name", NVL_OPTION_STRING, OPTION(hostname),
     .default_value = "the template's"},
    {"--gpu", "SEL", "a GPU, as `attach` takes it; repeatable", NVL_OPTION_LIST, OPTION(gpus),
     .values = nvl_gpu_values},
    {"--cores", "N", "processor cores", NVL_OPTION_STRING, OPTION(cores), .default_value = "the template's"},
    {"--memory", "SIZE", "memory, in MiB or as 16G", NVL_OPTION_STRING, OPTION(memory),
     .default_value = "the template's"},
    {"--swap", "SIZE", "swap, the same", NVL_OPTION_STRING, OPTION(swap), .default_value = "the template's"},
    {"--disk", "SIZE", "Proxmox: the root file system, in GiB or as 32G", NVL_OPTION_STRING, OPTION(disk),
     .default_value = "the template's"},
    {"--storage", "NAME", "the Proxmox storage", NVL_OPTION_STRING, OPTION(storage),
     .default_value = "the first for containers"},
    {"--bridge", "NAME", "its network", NVL_OPTION_STRING, OPTION(bridge),
     .default_value = "vmbr0; lxcbr0 on LXC"},
    {"--ip", "ADDRESS/N", "its address", NVL_OPTION_STRING, OPTION(ip), .default_value = "by DHCP"},
    {"--gw", "ADDRESS", "its gateway", NVL_OPTION_STRING, OPTION(gateway)},
    {"--oci", NULL, "Proxmox VE 9.1: of the workload's own image", NVL_OPTION_FLAG, OPTION(oci)},
    {"--entrypoint", "COMMAND", "with --oci: what it starts", NVL_OPTION_STRING, OPTION(entrypoint),
     .default_value = "the image's"},
    {"--ostype", "TYPE", "Proxmox: how it is set up at its start", NVL_OPTION_STRING, OPTION(ostype),
     .default_value = "the template's"},
    {"--template-archive", "FILE", "a system template of yours: Proxmox's volume, or a tar file on LXC",
     NVL_OPTION_STRING, OPTION(archive)},
    {"--dry-run", NULL, "show the plan only", NVL_OPTION_FLAG, OPTION(dry_run)},
    {"--yes", NULL, "do not ask", NVL_OPTION_FLAG, OPTION(yes)},
    {"--undo", NULL, "remove what an unfinished run made of this container", NVL_OPTION_FLAG, OPTION(undo)},
    {0},
};

/* A number of `unit` ('M' or 'G'), with another unit behind it if wanted. */
static int read_size(const char *option, const char *text, char unit, long *value, struct nvl_error *err)
{
    static const char units[] = "MGT";
    uint64_t number;

    if (text == NULL)
        return 0;
    size_t digits = strspn(text, "0123456789");
    const char *suffix = text + digits;
    char its = suffix[0] != '\0' ? suffix[0] : unit;
    nvl_autofree char *figures = nvl_xstrndup(text, digits);
    bool is_right = digits > 0 && strchr(units, its) != NULL &&
                    (suffix[0] == '\0' || suffix[1] == '\0' || strcmp(suffix + 1, "iB") == 0 ||
                     strcmp(suffix + 1, "B") == 0) &&
                    nvl_parse_uint(figures, 10, 1u << 24, &number) == 0;
    long steps = is_right ? strchr(units, its) - strchr(units, unit) : 0;
    if (!is_right || steps < 0) {
        nvl_error_usage(err, "%s: '%.40s' is not a size", option, text);
        nvl_error_hint(err,
                       unit == 'M' ? "for example 16G, 512M, or 8192 (MiB)" : "for example 32G, or 32 (GiB)");
        return -EINVAL;
    }
    *value = (long)(number << (10 * steps));
    if (*value > 1L << 30)
        return nvl_error_usage(err, "%s: '%.40s' is too much", option, text);
    return 0;
}

static int read_numbers(const struct create_values *values, struct nvl_create_request *request,
                        struct nvl_error *err)
{
    uint64_t number;

    request->memory = request->swap = request->cores = request->disk = NVL_AS_TEMPLATE;
    if (values->cores != NULL) {
        if (nvl_parse_uint(values->cores, 10, 8192, &number) < 0 || number == 0)
            return nvl_error_usage(err, "--cores: '%.40s' is not a number from 1 to 8192", values->cores);
        request->cores = (long)number;
    }
    int r = read_size("--memory", values->memory, 'M', &request->memory, err);
    if (r == 0)
        r = read_size("--swap", values->swap, 'M', &request->swap, err);
    return r == 0 ? read_size("--disk", values->disk, 'G', &request->disk, err) : r;
}

static int choose_ctid(const struct nvl_context *ctx, const struct create_values *values,
                       struct nvl_create_request *request, struct nvl_error *err)
{
    uint64_t number;

    if (request->is_lxc)
        return values->ctid == NULL
                   ? 0
                   : nvl_error_usage(err, "--ctid: this host has no Proxmox, take --hostname");
    if (values->ctid != NULL) {
        if (nvl_parse_uint(values->ctid, 10, 999999999, &number) < 0 || number < 100)
            return nvl_error_usage(err, "--ctid: '%.40s' is not a number from 100 to 999999999",
                                   values->ctid);
        request->ctid = (unsigned)number;
        return 0;
    }
    nvl_autofree char *unfinished = nvl_create_unfinished(&ctx->root, request->template);
    if (unfinished != NULL && nvl_parse_uint(unfinished, 10, 999999999, &number) == 0)
        request->ctid = (unsigned)number;
    else
        request->ctid = nvl_free_ctid(&ctx->root);
    return request->ctid != 0 ? 0 : nvl_error_set(err, -ENOENT, "no number is free for a CT");
}

static int check_lxc(const struct create_values *values, struct nvl_error *err)
{
    if (values->storage != NULL || values->disk != NULL)
        return nvl_error_usage(err, "--storage and --disk are Proxmox's: this host has none");
    if (values->ostype != NULL)
        return nvl_error_usage(err, "--ostype is Proxmox's: this host has none");
    return 0;
}

static int choose_its_gpu(const void *ctx, const struct nvl_host *host, struct nvl_grant *grant,
                          struct nvl_error *err)
{
    return nvl_choose_gpu(ctx, host, grant, err);
}

static int read_request(const struct nvl_context *ctx, const char *template,
                        const struct create_values *values, struct nvl_create_request *request,
                        struct nvl_error *err)
{
    nvl_auto(nvl_system_clear) struct nvl_system system = {0};

    int r = nvl_system_read(&ctx->root, &system, err);
    if (r < 0)
        return r;
    *request = (struct nvl_create_request){.template = template,
                                           .is_lxc = !system.is_proxmox,
                                           .is_oci = values->oci,
                                           .hostname = values->hostname,
                                           .storage = values->storage,
                                           .bridge = values->bridge,
                                           .address = values->ip,
                                           .gateway = values->gateway,
                                           .ostype = values->ostype,
                                           .entrypoint = values->entrypoint,
                                           .gpus = &values->gpus,
                                           .choose_gpu = values->yes ? NULL : choose_its_gpu,
                                           .asker = ctx};
    r = request->is_lxc ? check_lxc(values, err) : 0;
    if (r == 0)
        r = read_numbers(values, request, err);
    return r == 0 ? choose_ctid(ctx, values, request, err) : r;
}

/* ---- what is shown ---- */

/* In the form of host setup's steps. */
static json_t *plan_json(const struct nvl_create_plan *plan)
{
    json_t *steps = json_array();

    for (size_t i = 0; i < plan->count; i++) {
        const struct nvl_create_step *step = &plan->steps[i];
        json_t *commands =
            step->command != NULL ? json_pack("[[s,s,s]]", "/bin/sh", "-c", step->command) : json_array();
        json_t *edits = step->file != NULL ? json_pack("[{s:s,s:b,s:s}]", "path", step->file, "exists", 0,
                                                       "text", step->text)
                                           : json_array();
        json_array_append_new(steps, json_pack("{s:s,s:s,s:s,s:s,s:o,s:o}", "id", step->id, "title",
                                               step->title, "state", "pending", "reason", "", "commands",
                                               commands, "edits", edits));
    }
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:o}", "container", plan->container, "template",
                     plan->template, "path", plan->config_path, "text", plan->config, "url",
                     nvl_json_string(plan->url), "then", nvl_json_strings(&plan->then), "plan", steps);
}

static void say_plan(const struct nvl_context *ctx, const struct nvl_create_plan *plan,
                     const struct nvl_composing *c)
{
    nvl_say(ctx, "%s: %s", plan->template, c->template.summary);
    for (size_t i = 0; i < c->changes.count; i++)
        nvl_say(ctx, "  %s", c->changes.items[i]);
    for (size_t i = 0; i < plan->count; i++) {
        const struct nvl_create_step *step = &plan->steps[i];
        nvl_say_styled(ctx, NVL_TITLE, "%zu. %s", i + 1, step->title);
        if (step->command != NULL)
            nvl_say_styled(ctx, NVL_COMMAND, "   # %s", step->command);
        else
            nvl_say(ctx, "   writes %s", step->file);
    }
    nvl_say(ctx, "\nits config, %s:", plan->config_path);
    if (!ctx->quiet && !ctx->json)
        fputs(plan->config, stdout);
}

static void say_create_line(void *data, const char *line)
{
    nvl_progress_end();
    nvl_say_styled(data, line[0] == '[' ? NVL_TITLE : NVL_PLAIN, "%s", line);
}

static void show_create_step(void *data, const char *what)
{
    nvl_progress(data, "%s", what);
}

/* LXC's own words for it; the first IPv4 address. "" if it has none. */
static char *ask_address(const struct nvl_create_plan *plan)
{
    const char *const argv[] = {"lxc-info", "-n", plan->container, "-iH", NULL};
    char text[4096] = "";

    if (plan->address != NULL)
        return nvl_xstrdup(plan->address);
    if (nvl_tool_run(argv, NVL_TOOL_SECONDS, text, sizeof text) != 0)
        return nvl_xstrdup("");
    size_t len = strcspn(text, "\n");
    return strspn(text, "0123456789.") == len ? nvl_xstrndup(text, len) : nvl_xstrdup("");
}

static void say_end(const struct nvl_context *ctx, const struct nvl_create_plan *plan)
{
    nvl_autofree char *address = ask_address(plan);
    const char *place = plan->url != NULL ? strstr(plan->url, "ADDRESS") : NULL;

    for (size_t i = 0; i < plan->then.count; i++)
        nvl_say_fact(ctx, i == 0 ? "for you to do: " : "               ", "%s", plan->then.items[i]);
    if (place != NULL && address[0] != '\0')
        nvl_say_fact(ctx, "open: ", "%.*s%s%s", (int)(place - plan->url), plan->url, address,
                     place + strlen("ADDRESS"));
    else if (plan->url != NULL)
        nvl_say_fact(ctx, "open: ", "%s, with the container's address", plan->url);
    nvl_say(ctx, "%s is done; its GPU's state at any time: nvlxc verify %s", plan->container,
            plan->container);
}

/* ---- what is done ---- */

static int check_create_caller(const struct nvl_context *ctx, const struct create_values *values,
                               struct nvl_error *err)
{
    if (values->dry_run)
        return values->yes ? nvl_error_usage(err, "create: --dry-run and --yes exclude each other") : 0;
    if (ctx->json)
        return nvl_error_usage(err, "create: --json works only with --dry-run");
    if (!nvl_root_is_machine(&ctx->root))
        return nvl_error_usage(
            err, "create: cannot make a container on a captured host; --dry-run shows the plan");
    if (geteuid() == 0)
        return 0;
    nvl_error_host(err, -EPERM, "create must run as root: it makes a container");
    nvl_error_hint(err, "for the plan alone: nvlxc create TEMPLATE --dry-run");
    return -EPERM;
}

static int ask_to_begin(const struct create_values *values, const char *question, struct nvl_error *err)
{
    if (values->yes)
        return 0;
    if (!nvl_can_ask()) {
        nvl_error_set(err, -EINVAL, "create asks before it changes anything, but there is no terminal");
        nvl_error_hint(err, "--dry-run shows the plan, --yes carries it out");
        return -EINVAL;
    }
    if (nvl_ask(question) == NVL_ANSWER_YES)
        return 0;
    return nvl_error_set(err, -ECANCELED, "nothing was changed");
}

static int undo_create(struct nvl_context *ctx, const char *container, const struct create_values *values,
                       struct nvl_error *err)
{
    const struct nvl_create_run run = {ctx->quiet, say_create_line, show_create_step, ctx};
    nvl_autofree char *question = nvl_xasprintf("Remove the container %s and what else was made?", container);

    int r = ask_to_begin(values, question, err);
    if (r == 0)
        r = nvl_create_undo(&ctx->root, container, &run, err);
    nvl_progress_end();
    if (r == 0)
        nvl_say(ctx, "%s is removed", container);
    return r < 0 ? r : NVL_EXIT_OK;
}

static int carry_out_create(struct nvl_context *ctx, const struct nvl_create_plan *plan,
                            const struct create_values *values, struct nvl_error *err)
{
    const struct nvl_create_run run = {ctx->quiet, say_create_line, show_create_step, ctx};

    int r = nvl_create_is_begun(&ctx->root, plan, err);
    if (r < 0)
        return r;
    if (r > 0)
        nvl_say(ctx, "\n%s was begun before: this goes on behind what is done", plan->container);
    r = ask_to_begin(values, "\nCarry this out?", err);
    if (r == 0)
        r = nvl_create_carry_out(&ctx->root, plan, &run, err);
    nvl_progress_end();
    if (r < 0)
        return r;
    say_end(ctx, plan);
    return NVL_EXIT_OK;
}

static int create_from(struct nvl_context *ctx, const char *template, const struct create_values *values,
                       struct nvl_error *err)
{
    nvl_auto(nvl_composing_clear) struct nvl_composing composing = {0};
    nvl_auto(nvl_create_plan_clear) struct nvl_create_plan plan = {0};
    struct nvl_create_request request;

    int r = read_request(ctx, template, values, &request, err);
    if (r == 0)
        r = nvl_composing_make(&ctx->root, &request, &composing, err);
    if (r == 0)
        r = nvl_create_plan_make(&ctx->root, &request, &composing, values->archive, &plan, err);
    if (r < 0)
        return r;
    if (ctx->json)
        nvl_print_json(plan_json(&plan));
    else
        say_plan(ctx, &plan, &composing);
    return values->dry_run ? NVL_EXIT_OK : carry_out_create(ctx, &plan, values, err);
}

static int run_create(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                      struct nvl_error *err)
{
    struct create_values *values = data;

    int r = check_create_caller(ctx, values, err);
    if (r == 0)
        r = values->undo ? undo_create(ctx, arguments->items[0], values, err)
                         : create_from(ctx, arguments->items[0], values, err);
    return r;
}

static const struct nvl_example create_examples[] = {
    {"create ollama --dry-run", "what would be done, and the container's config"},
    {"create ollama --gpu 0 --memory 16G --disk 64G", "a container with Ollama in it, on GPU 0"},
    {"create jellyfin --ctid 230 --ip 10.0.99.230/24 --gw 10.0.99.254",
     "with a number and an address of yours"},
    {"create vllm --oci --gpu all", "of vLLM's own image, with every GPU"},
    {"create --undo 230", "removes what a run that failed has made"},
    {0},
};

const struct nvl_command nvl_cmd_create = {
    .name = "create",
    .arguments = "TEMPLATE|CT",
    .group = NVL_GROUP_DAILY,
    .summary = "make a container with a workload that runs on the GPU",
    .details = "Shows the plan, asks once, and then fetches a system, creates the container,\n"
               "attaches the GPU, starts it, installs the workload in it, and verifies that\n"
               "it uses the GPU. A step that fails stops it: the same command goes on from\n"
               "there, --undo removes what was made, and nothing else. `nvlxc template`\n"
               "lists the templates; options take precedence over their values.",
    .examples = create_examples,
    .min_arguments = 1,
    .max_arguments = 1,
    .argument_values = "@templates",
    .options = create_options,
    .values_size = sizeof(struct create_values),
    .run = run_create,
};
