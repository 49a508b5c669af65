/* nvlxc template: ready-made configurations for workloads. It prints them and changes nothing. */
#include <errno.h>
#include <stdio.h>

#include "cli/command.h"
#include "attach/request.h"
#include "cli/table.h"
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
     offsetof(struct template_values, gpus)},
    {"--hostname", "NAME", "the container's name (default: the template's)", NVL_OPTION_STRING,
     offsetof(struct template_values, hostname)},
    {"--storage", "NAME", "Proxmox storage (default: the first for containers)", NVL_OPTION_STRING,
     offsetof(struct template_values, storage)},
    {"--bridge", "NAME", "its network (default: vmbr0; lxcbr0 with --lxc)", NVL_OPTION_STRING,
     offsetof(struct template_values, bridge)},
    {0},
};

/* Everything that a template needs to become text. */
struct composing {
    struct nvl_template template;
    struct nvl_grant grant;
    char *storage, *volume;
    struct nvl_composition composition;
};

static void composing_clear(struct composing *c)
{
    nvl_template_clear(&c->template);
    nvl_grant_clear(&c->grant);
    free(c->storage);
    free(c->volume);
}

static json_t *template_json(const struct nvl_template *t)
{
    return json_pack("{s:s,s:s,s:s,s:o,s:i,s:i,s:i,s:i,s:s,s:o,s:o,s:o,s:o}", "name", t->name, "path",
                     t->path, "summary", t->summary, "capabilities", nvl_json_capabilities(t->capabilities),
                     "memory", (int)t->memory, "swap", (int)t->swap, "cores", (int)t->cores, "disk",
                     (int)t->disk, "ostype", t->ostype, "features", nvl_json_strings(&t->features), "install",
                     nvl_json_strings(&t->install), "verify", nvl_json_string(t->verify), "image",
                     nvl_json_string(t->image));
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

    int r = nvl_templates_read(&ctx->root, &all, &problems, err);
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
    nvl_say(ctx, "%s: %s (%s)", t->name, t->summary, t->path);
    nvl_say(ctx, "capabilities: %s", words);
    nvl_say(ctx, "container:    %u cores, %u MiB memory, %u MiB swap, %u GiB disk, %s%s%s", t->cores,
            t->memory, t->swap, t->disk, t->ostype, features[0] != '\0' ? ", " : "", features);
    if (t->image != NULL)
        nvl_say(ctx, "image:        %s, %s", t->image, t->entrypoint);
    for (size_t i = 0; i < t->install.count; i++)
        nvl_say(ctx, "%s  %s", i == 0 ? "install:    " : "            ", t->install.items[i]);
    if (t->verify != NULL)
        nvl_say(ctx, "try it:       nvlxc verify CT --workload %s", t->verify);
    nvl_say(ctx, "a container:  nvlxc template %s --ctid N, --ctid N --pct, or --lxc", t->name);
    return NVL_EXIT_OK;
}

static int check_names(const struct nvl_composition *c, struct nvl_error *err)
{
    if (!nvl_is_hostname(c->hostname))
        return nvl_error_usage(err, "--hostname: '%.100s' is not a host's name", c->hostname);
    if (!nvl_is_storage_name(c->storage))
        return nvl_error_usage(err, "--storage: '%.100s' is not the name of a storage", c->storage);
    if (!nvl_is_bridge_name(c->bridge))
        return nvl_error_usage(err, "--bridge: '%.100s' is not the name of a bridge", c->bridge);
    return 0;
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

/* The GPUs of this host, as `attach` would write them. */
static int read_template_grant(const struct nvl_context *ctx, const struct template_values *values,
                               struct composing *c, struct nvl_error *err)
{
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};

    int r = nvl_request_parse(&values->gpus, NULL, false, &c->grant, err);
    if (r == 0)
        r = nvl_host_read(&host, &ctx->root, NVL_GPUS_ALL, err);
    if (r == 0)
        r = nvl_request_resolve(&host, &c->grant, err);
    c->grant.capabilities = c->template.capabilities;
    return r;
}

static int prepare_template(const struct nvl_context *ctx, const struct template_values *values,
                            struct composing *c, struct nvl_error *err)
{
    struct nvl_composition *made = &c->composition;

    int r = read_ctid(values, &made->ctid, err);
    if (r < 0)
        return r;
    if (values->oci && c->template.image == NULL)
        return nvl_error_usage(err, "--oci: %s has no image in its template", c->template.name);
    c->storage = values->storage != NULL ? nvl_xstrdup(values->storage) : nvl_default_storage(&ctx->root);
    made->template = &c->template;
    made->grant = &c->grant;
    made->hostname = values->hostname != NULL ? values->hostname : c->template.name;
    made->storage = c->storage;
    made->bridge = values->bridge != NULL ? values->bridge : values->lxc ? "lxcbr0" : "vmbr0";
    made->is_oci = values->oci;
    r = check_names(made, err);
    if (r == 0 && !values->lxc)
        r = nvl_volume_name(&ctx->root, c->storage, made->ctid, &c->volume, err);
    return r < 0 ? r : read_template_grant(ctx, values, c, err);
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

static int compose(const struct nvl_context *ctx, const struct template_values *values, struct composing *c,
                   struct nvl_error *err)
{
    int r = prepare_template(ctx, values, c, err);

    if (r < 0)
        return r;
    nvl_autofree char *text = values->lxc   ? nvl_compose_lxc(&c->composition)
                              : values->pct ? nvl_compose_commands(&c->composition)
                                            : nvl_compose_pve(&c->composition, c->volume);
    warn_about(ctx, values, c->composition.ctid);
    if (ctx->json)
        return nvl_print_json(json_pack("{s:s,s:s,s:s}", "template", c->template.name, "form",
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
    nvl_auto(composing_clear) struct composing c = {0};
    bool is_asked = values->ctid != NULL || values->lxc || values->pct;
    bool has_options = is_asked || values->oci || values->gpus.count > 0 || values->hostname != NULL ||
                       values->storage != NULL || values->bridge != NULL;
    int r;

    if (arguments->count == 0 && has_options)
        r = nvl_error_usage(err, "which template? `nvlxc template` lists them");
    else if (arguments->count == 0)
        r = run_template_list(ctx, err);
    else if ((r = nvl_template_find(&ctx->root, arguments->items[0], &c.template, err)) < 0)
        ;
    else if (has_options && !is_asked)
        r = nvl_error_usage(err, "for which container? give --ctid N or --lxc");
    else
        r = is_asked ? compose(ctx, values, &c, err) : describe_template(ctx, &c.template);
    nvl_strv_clear(&values->gpus);
    return r;
}

const struct nvl_command nvl_cmd_template = {
    .name = "template",
    .arguments = "[NAME]",
    .summary = "print ready-made configurations for workloads",
    .details = "Without NAME it lists the templates; with only NAME it says what the workload\n"
               "needs and how to install it. Templates are the files in\n"
               "/usr/share/nvlxc/templates; a file of the same name in /etc/nvlxc/templates\n"
               "takes precedence. It prints the config or the commands and changes nothing.",
    .min_arguments = 0,
    .max_arguments = 1,
    .options = template_options,
    .values_size = sizeof(struct template_values),
    .run = run_template,
};
