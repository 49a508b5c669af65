/* nvlxc template: ready-made configurations for workloads. It prints them and changes nothing. */
#include <errno.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/globals.h"
#include "cli/table.h"
#include "create/plan.h"
#include "create/request.h"
#include "template/compose.h"

struct template_values {
    const char *ctid, *hostname, *storage, *bridge;
    struct nvl_strv gpus;
    bool lxc, pct, oci;
};

static const struct nvl_option template_options[] = {
    {"--ctid", "N", "print the config of a Proxmox CT with this number", NVL_OPTION_STRING,
     offsetof(struct template_values, ctid)},
    {"--pct", NULL, "with --ctid: print the commands that create the CT", NVL_OPTION_FLAG,
     offsetof(struct template_values, pct)},
    {"--lxc", NULL, "print a plain LXC container's config", NVL_OPTION_FLAG,
     offsetof(struct template_values, lxc)},
    {"--oci", NULL, "use the workload's own image, not a system template", NVL_OPTION_FLAG,
     offsetof(struct template_values, oci)},
    {"--gpu", "SEL", "a GPU, as `attach` takes it; repeatable", NVL_OPTION_LIST,
     offsetof(struct template_values, gpus), .values = nvl_gpu_values},
    {"--hostname", "NAME", "the container's name", NVL_OPTION_STRING,
     offsetof(struct template_values, hostname), .default_value = "the template's"},
    {"--storage", "NAME", "the Proxmox storage", NVL_OPTION_STRING, offsetof(struct template_values, storage),
     .default_value = "the first for containers"},
    {"--bridge", "NAME", "its network", NVL_OPTION_STRING, offsetof(struct template_values, bridge),
     .default_value = "vmbr0; lxcbr0 with --lxc"},
    {0},
};

static json_t *template_json(const struct nvl_template *t)
{
    return json_pack("{s:s,s:s,s:s,s:o,s:I,s:I,s:i,s:I,s:s,s:o,s:o,s:o,s:o,s:o,s:s,s:o,s:o}", "template",
                     t->name, "path", t->path, "summary", t->summary, "capabilities",
                     nvl_json_capabilities(t->capabilities), "memory_bytes", (json_int_t)t->memory << 20,
                     "swap_bytes", (json_int_t)t->swap << 20, "cores", (int)t->cores, "disk_bytes",
                     (json_int_t)t->disk << 30, "ostype", t->ostype, "features",
                     nvl_json_strings(&t->features), "install", nvl_json_strings(&t->install), "verify",
                     nvl_json_string(t->verify), "image", nvl_json_string(t->image), "service",
                     nvl_json_string(t->service), "user", t->user, "url", nvl_json_string(t->url), "then",
                     nvl_json_strings(&t->then));
}

static void print_list(const struct nvl_templates *all)
{
    static const char *const columns[] = {"TEMPLATE", "CAPABILITIES", "MEMORY", "CORES",
                                          "DISK",     "IMAGE",        "WHAT",   NULL};
    struct nvl_table *table = nvl_table_new(columns);

    for (size_t i = 0; i < all->count; i++) {
        const struct nvl_template *t = &all->items[i];
        char memory[16], disk[16];
        nvl_format_size((uint64_t)t->memory << 20, memory, sizeof memory);
        nvl_format_size((uint64_t)t->disk << 30, disk, sizeof disk);
        nvl_autofree char *words = nvl_capabilities_format(t->capabilities),
                          *cores = nvl_xasprintf("%u", t->cores);
        const char *const row[] = {t->name,   words, memory, cores, disk, t->image != NULL ? "yes" : NULL,
                                   t->summary};
        nvl_table_row(table, row);
    }
    nvl_table_print(table, stdout);
    nvl_table_free(table);
}

static int run_template_list(const struct nvl_context *ctx, struct nvl_error *err)
{
    nvl_auto(nvl_templates_clear) struct nvl_templates all = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv problems = {0};

    int r = nvl_templates_read(NULL, &all, &problems, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < problems.count; i++)
        nvl_warn("left out: %s", problems.items[i]);
    if (ctx->json) {
        json_t *array = json_array();
        for (size_t i = 0; i < all.count; i++)
            json_array_append_new(array, template_json(&all.items[i]));
        nvl_print_json(json_pack("{s:o}", "templates", array));
    } else if (all.count == 0) {
        nvl_say(ctx, "no templates in %s and %s", NVL_TEMPLATES_LOCAL, NVL_TEMPLATES);
    } else if (!ctx->quiet) {
        print_list(&all);
    }
    return problems.count > 0 ? NVL_EXIT_FAILED : NVL_EXIT_OK;
}

/* Says what the workload needs, if no container is asked for. */
static int describe_template(const struct nvl_context *ctx, const struct nvl_template *t)
{
    nvl_autofree char *words = nvl_capabilities_format(t->capabilities);
    nvl_autofree char *features = nvl_strv_join(&t->features, ",");

    if (ctx->json)
        return nvl_print_json(template_json(t));
    nvl_autofree char *name = nvl_xasprintf("%s: ", t->name);
    nvl_autofree char *summary = nvl_xasprintf("%s (%s)", t->summary, t->path);
    nvl_say_spans(ctx, (struct nvl_span){NVL_TITLE, name},
                  (const struct nvl_span[]){{NVL_PLAIN, summary}, {0}}, true);
    nvl_say_fact(ctx, "capabilities: ", "%s", words);
    nvl_say_fact(ctx, "container:    ", "%u cores, %u MiB memory, %u MiB swap, %u GiB disk, %s%s%s", t->cores,
                 t->memory, t->swap, t->disk, t->ostype, features[0] != '\0' ? ", " : "", features);
    if (t->image != NULL)
        nvl_say_fact(ctx, "image:        ", "%s, %s", t->image, t->entrypoint);
    for (size_t i = 0; i < t->install.count; i++)
        nvl_say_spans(ctx, (struct nvl_span){NVL_PLAIN, i == 0 ? "install:      " : "              "},
                      (const struct nvl_span[]){{NVL_COMMAND, t->install.items[i]}, {0}}, true);
    if (t->service != NULL)
        nvl_say_fact(ctx, "service:      ", "%s", t->service);
    if (strcmp(t->user, "root") != 0)
        nvl_say_fact(ctx, "runs as:      ", "%s", t->user);
    if (t->url != NULL)
        nvl_say_fact(ctx, "open:         ", "%s", t->url);
    for (size_t i = 0; i < t->then.count; i++)
        nvl_say_fact(ctx, i == 0 ? "then:         " : "              ", "%s", t->then.items[i]);
    if (t->verify != NULL)
        nvl_say_fact(ctx, "try it:       ", "nvlxc verify CT --workload %s", t->verify);
    nvl_say_fact(ctx,
                 "a container:  ", "nvlxc create %s; its config alone: nvlxc template %s --ctid N, or --lxc",
                 t->name, t->name);
    return NVL_EXIT_OK;
}

static int read_ctid(const struct template_values *values, unsigned *ctid, struct nvl_error *err)
{
    uint64_t number;

    if (values->ctid == NULL)
        return values->pct ? nvl_error_usage(err, "--pct needs the number of the CT, --ctid N") : 0;
    if (values->lxc)
        return nvl_error_usage(err,
                               "--ctid makes a Proxmox CT, --lxc a plain LXC container: give one of them");
    if (nvl_parse_uint(values->ctid, 10, 999999999, &number) < 0 || number < 100)
        return nvl_error_usage(err, "--ctid: '%.40s' is not a number from 100 to 999999999", values->ctid);
    *ctid = (unsigned)number;
    return 0;
}

static void warn_about(const struct nvl_context *ctx, const struct template_values *values, unsigned ctid)
{
    nvl_autofree char *path = nvl_xasprintf("/etc/pve/lxc/%u.conf", ctid);

    if (ctid != 0 && nvl_root_exists(&ctx->root, path))
        nvl_warn("CT %u already exists: %s", ctid, path);
    if (values->lxc && values->oci)
        nvl_warn(
            "the image requests no address itself: add lxc.net.0.ipv4.address and lxc.net.0.ipv4.gateway");
}

/* The commands alone, as `create` would run them. */
static int compose_commands(const struct nvl_context *ctx, const struct nvl_create_request *request,
                            const struct nvl_composing *c, char **text, struct nvl_error *err)
{
    nvl_auto(nvl_create_plan_clear) struct nvl_create_plan plan = {0};
    struct nvl_buf out = {0};

    int r = nvl_create_plan_make(&ctx->root, request, c, NULL, &plan, err);
    for (size_t i = 0; i < plan.count; i++)
        nvl_buf_addf(&out, "%s\n", plan.steps[i].command);
    *text = nvl_buf_take(&out);
    return r;
}

static int compose(const struct nvl_context *ctx, const char *name, const struct template_values *values,
                   struct nvl_error *err)
{
    nvl_auto(nvl_composing_clear) struct nvl_composing c = {0};
    nvl_autofree char *text = NULL;
    struct nvl_create_request request = {.template = name,
                                         .is_lxc = values->lxc,
                                         .is_oci = values->oci,
                                         .hostname = values->hostname,
                                         .storage = values->storage,
                                         .bridge = values->bridge,
                                         .memory = NVL_AS_TEMPLATE,
                                         .swap = NVL_AS_TEMPLATE,
                                         .cores = NVL_AS_TEMPLATE,
                                         .disk = NVL_AS_TEMPLATE,
                                         .gpus = &values->gpus};

    int r = read_ctid(values, &request.ctid, err);
    if (r == 0)
        r = nvl_composing_make(&ctx->root, &request, &c, err);
    if (r == 0 && values->pct)
        r = compose_commands(ctx, &request, &c, &text, err);
    if (r < 0)
        return r;
    if (!values->pct)
        text = values->lxc ? nvl_compose_lxc(&c.composition) : nvl_compose_pve(&c.composition, c.volume);
    warn_about(ctx, values, request.ctid);
    if (ctx->json)
        return nvl_print_json(json_pack("{s:s,s:s,s:s}", "template", name, "form",
                                        values->lxc   ? "lxc"
                                        : values->pct ? "commands"
                                                      : "pve",
                                        "text", text));
    fputs(text, stdout);
    return NVL_EXIT_OK;
}

static int run_template(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                        struct nvl_error *err)
{
    struct template_values *values = data;
    nvl_auto(nvl_template_clear) struct nvl_template t = {0};
    bool is_asked = values->ctid != NULL || values->lxc || values->pct;
    bool has_options = is_asked || values->oci || values->gpus.count > 0 || values->hostname != NULL ||
                       values->storage != NULL || values->bridge != NULL;
    int r;

    if (arguments->count == 0 && has_options)
        r = nvl_error_usage(err, "which template? `nvlxc template` lists them");
    else if (arguments->count == 0)
        r = run_template_list(ctx, err);
    else if ((r = nvl_template_find(NULL, arguments->items[0], &t, err)) < 0)
        ;
    else if (has_options && !is_asked)
        r = nvl_error_usage(err, "for which container? give --ctid N or --lxc");
    else
        r = is_asked ? compose(ctx, t.name, values, err) : describe_template(ctx, &t);
    return r;
}

static const struct nvl_example template_examples[] = {
    {"template", "the workloads that there are templates for"},
    {"template ollama", "what Ollama needs, and how to install it"},
    {"template ollama --ctid 101 --pct --gpu 0", "the commands that create CT 101 with it"},
    {"template jellyfin --lxc --gpu 0", "the config of a plain LXC container"},
    {"template vllm --ctid 102 --oci --gpu all", "a CT made of vLLM's own image"},
    {0},
};

const struct nvl_command nvl_cmd_template = {
    .name = "template",
    .arguments = "[NAME]",
    .group = NVL_GROUP_SETUP,
    .summary = "print ready-made configurations for workloads",
    .details = "Without NAME it lists the templates; with only NAME it says what the workload\n"
               "needs and how to install it. Templates are the files in\n"
               "/usr/share/nvlxc/templates; a file of the same name in /etc/nvlxc/templates\n"
               "takes precedence. It prints the config or the commands and changes nothing.",
    .examples = template_examples,
    .min_arguments = 0,
    .max_arguments = 1,
    .argument_values = "@templates",
    .options = template_options,
    .values_size = sizeof(struct template_values),
    .run = run_template,
};
