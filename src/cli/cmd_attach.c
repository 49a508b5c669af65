/* nvlxc attach: gives GPUs to a container, by its config. The host decides what can be named, the plan what
 * changes, the commit writes; a running container sees it after its restart. */
#include <stdio.h>

#include "base/paths.h"
#include "cli/bundle_step.h"
#include "cli/command.h"
#include "cli/grant_text.h"
#include "cli/request.h"
#include "cli/target.h"
#include "commit/commit.h"
#include "container/device_rules.h"
#include "container/idmap.h"
#include "grant/resolve.h"

struct attach_values {
    struct nvl_strv gpus;
    const char *capabilities;
    bool required, dry_run;
};

static const struct nvl_option attach_options[] = {
    {"--gpu", "SEL", "a GPU by index, UUID, PCI address or MIG device; all; none; may be given again",
     NVL_OPTION_LIST, offsetof(struct attach_values, gpus)},
    {"--capabilities", "LIST", "compute,utility,video,graphics,display,ngx,compat32 or all (compute,utility)",
     NVL_OPTION_STRING, offsetof(struct attach_values, capabilities)},
    {"--required", NULL, "the container shall not start without what is granted", NVL_OPTION_FLAG,
     offsetof(struct attach_values, required)},
    {"--dry-run", NULL, "show what would change, and change nothing", NVL_OPTION_FLAG,
     offsetof(struct attach_values, dry_run)},
    {0},
};

/* All that one attach knows. */
struct attach {
    struct nvl_target target;
    struct nvl_host host;
    struct nvl_grant grant;
    struct nvl_resolved resolved;
    struct nvl_strv rules, warnings;
    struct nvl_plan plan;
};

static void attach_clear(struct attach *a)
{
    nvl_plan_clear(&a->plan);
    nvl_strv_clear(&a->warnings);
    nvl_strv_clear(&a->rules);
    nvl_resolved_clear(&a->resolved);
    nvl_grant_clear(&a->grant);
    nvl_host_clear(&a->host);
    nvl_target_close(&a->target);
}

static void warn_about_grant(struct attach *a)
{
    if (a->host.driver.version[0] == '\0')
        nvl_strv_push(&a->warnings, "no NVIDIA driver is loaded: the container gets nothing until one is");
    for (size_t i = 0; i < a->resolved.n_gpus; i++) {
        const struct nvl_gpu *g = a->resolved.gpus[i].gpu;
        if (g->mig_enabled && a->resolved.gpus[i].mig == NULL)
            nvl_strv_pushf(
                &a->warnings,
                "GPU %d is in MIG mode: CUDA needs one of its MIG devices, `nvlxc gpus` names them",
                g->index);
    }
}

static int choose_rules(const struct nvl_context *ctx, struct attach *a, struct nvl_error *err)
{
    const struct nvl_container *c = a->target.container;
    enum nvl_device_filter filter;
    struct nvl_idmap map;

    int r = nvl_device_filter(&ctx->root, c, &a->target.config, &filter, err);
    if (r < 0)
        return r;
    if (filter == NVL_FILTER_ALLOW)
        for (size_t i = 0; i < a->resolved.n_nodes; i++)
            nvl_strv_push(&a->rules, a->resolved.nodes[i].path);
    r = nvl_idmap_read(&ctx->root, c, &a->target.config, &map, err);
    if (r < 0)
        return r;
    if (map.privileged && c->user == NULL && filter == NVL_FILTER_NONE)
        nvl_strv_push(&a->warnings,
                      "the container is privileged and has no device filter: nothing keeps it from making "
                      "nodes of the host's other GPUs");
    return 0;
}

/* Everything that is decided before anything is written. */
static int prepare(const struct nvl_context *ctx, const char *name, const struct attach_values *values,
                   struct attach *a, struct nvl_error *err)
{
    int r = nvl_request_parse(&values->gpus, values->capabilities, values->required, &a->grant, err);

    if (r == 0)
        r = nvl_target_open(ctx, name, &a->target, err);
    if (r == 0)
        r = nvl_host_read(&a->host, &ctx->root, NVL_GPUS_ALL, err);
    if (r == 0)
        r = nvl_request_resolve(&a->host, &a->grant, err);
    if (r < 0)
        return r;
    nvl_grant_resolve(&a->grant, &a->host, &a->resolved);
    warn_about_grant(a);
    r = choose_rules(ctx, a, err);
    if (r < 0)
        return r;
    if (nvl_root_is_machine(&ctx->root) && !nvl_root_exists(&ctx->root, NVL_HOOK_PROGRAM))
        nvl_strv_push(&a->warnings, NVL_HOOK_PROGRAM " is not installed: containers start without their GPU");
    return nvl_plan_attach(&a->target.config, &a->grant, &a->rules, &a->plan, err);
}

static void say_granted(const struct nvl_context *ctx, const struct attach *a)
{
    nvl_autofree char *words = nvl_capabilities_format(a->grant.capabilities);

    for (size_t i = 0; i < a->resolved.n_gpus; i++) {
        const struct nvl_resolved_gpu *g = &a->resolved.gpus[i];
        nvl_autofree char *text = nvl_gpu_text(g->gpu);
        if (g->mig != NULL)
            nvl_say(ctx, "%s: MIG device %u/%u of %s", a->target.name, g->mig->gi, g->mig->ci, text);
        else
            nvl_say(ctx, "%s: %s", a->target.name, text);
    }
    if (a->grant.devices == NVL_DEVICES_NONE)
        nvl_say(ctx, "%s: the driver without a GPU", a->target.name);
    nvl_say(ctx, "%s: capabilities %s%s", a->target.name, words,
            a->grant.required ? "; required: it does not start without them" : "");
}

static void say_when(const struct nvl_context *ctx, const struct attach *a)
{
    if (!nvl_container_is_running(&ctx->root, a->target.container)) {
        nvl_say(ctx, "it is there from the container's next start on");
        return;
    }
    nvl_autofree char *restart = nvl_container_restart(a->target.container);
    nvl_say(ctx, "the container is running, restart it: %s", restart);
}

static void print_json(const struct attach *a, bool dry_run)
{
    nvl_autofree char *diff = dry_run ? nvl_target_diff(&a->target, &a->plan) : NULL;

    nvl_print_json(json_pack("{s:s,s:b,s:o,s:o,s:o,s:o,s:o}", "container", a->target.name, "changed",
                             (int)a->plan.changes, "devices", nvl_json_devices(&a->grant), "capabilities",
                             nvl_json_capabilities(a->grant.capabilities), "rules",
                             nvl_json_strings(&a->rules), "diff", dry_run ? json_string(diff) : json_null(),
                             "warnings", nvl_json_strings(&a->warnings)));
}

static void tell(const struct nvl_context *ctx, const struct attach *a, bool dry_run)
{
    if (!a->plan.changes) {
        nvl_say(ctx, "%s: already attached, nothing to change", a->target.name);
    } else if (dry_run) {
        nvl_autofree char *diff = nvl_target_diff(&a->target, &a->plan);
        if (!ctx->quiet && !ctx->json)
            fputs(diff, stdout);
    } else {
        say_granted(ctx, a);
        say_when(ctx, a);
    }
}

static int run_attach(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                      struct nvl_error *err)
{
    struct attach_values *values = data;
    struct attach nvl_auto(attach_clear) a = {0};

    int r = prepare(ctx, arguments->items[0], values, &a, err);
    if (r == 0 && !values->dry_run)
        r = nvl_commit(&ctx->root, a.target.container, &a.target.config, &a.plan, err);
    nvl_strv_clear(&values->gpus);
    if (r < 0)
        return r;
    tell(ctx, &a, values->dry_run);
    nvl_bundle_step(ctx, &a.host.driver, a.grant.capabilities, values->dry_run, &a.warnings);
    if (ctx->json)
        print_json(&a, values->dry_run);
    for (size_t i = 0; !ctx->json && i < a.warnings.count; i++)
        nvl_warn("%s", a.warnings.items[i]);
    return NVL_EXIT_OK;
}

const struct nvl_command nvl_cmd_attach = {
    .name = "attach",
    .arguments = "CT",
    .summary = "give GPUs to a container",
    .details = "CT is a Proxmox CTID or the name of an LXC container; where several have one name, pve/220, "
               "root/web\n"
               "or alice/web. Without --gpu it is the host's only GPU. What is written are UUIDs, so that "
               "the grant\n"
               "stays the same GPU when cards change places. A running container gets it at its next start.",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = attach_options,
    .values_size = sizeof(struct attach_values),
    .run = run_attach,
};
