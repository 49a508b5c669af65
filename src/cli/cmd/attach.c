/* nvlxc attach: gives GPUs to a container through its config. The host decides which GPUs there are, the plan
 * what changes, the commit writes; a running container gets the GPU at its restart. */
#include <errno.h>
#include <stdio.h>

#include "plan/diff.h"
#include "base/printable.h"
#include "base/paths.h"
#include "container/holding.h"
#include "attach/delivery_check.h"
#include "cli/bundle_step.h"
#include "cli/command.h"
#include "container/owned_lines.h"
#include "cli/live_step.h"
#include "attach/request.h"
#include "container/target.h"
#include "apply/commit.h"
#include "container/device_rules.h"
#include "container/idmap.h"
#include "grant/resolve.h"
#include "template/template.h"

struct attach_values {
    struct nvl_strv gpus;
    const char *capabilities, *workload, *nodes, *libraries;
    bool required, exclusive, replace, force, live, dry_run;
};

static const struct nvl_option attach_options[] = {
    {"--gpu", "SEL", "index, UUID, PCI, MIG device, all, none; repeatable", NVL_OPTION_LIST,
     offsetof(struct attach_values, gpus)},
    {"--capabilities", "LIST", "what its programs may do (default: compute,utility)", NVL_OPTION_STRING,
     offsetof(struct attach_values, capabilities)},
    {"--workload", "NAME", "add the capabilities of this template", NVL_OPTION_STRING,
     offsetof(struct attach_values, workload)},
    {"--nodes", "WAY", "who adds device nodes: hook (default), dev or static", NVL_OPTION_STRING,
     offsetof(struct attach_values, nodes)},
    {"--libraries", "WAY", "the driver's files: bundle (default), host or none", NVL_OPTION_STRING,
     offsetof(struct attach_values, libraries)},
    {"--required", NULL, "refuse to start the container without its grant", NVL_OPTION_FLAG,
     offsetof(struct attach_values, required)},
    {"--exclusive", NULL, "share these GPUs with no other container", NVL_OPTION_FLAG,
     offsetof(struct attach_values, exclusive)},
    {"--replace", NULL, "replace NVIDIA lines that were written by hand", NVL_OPTION_FLAG,
     offsetof(struct attach_values, replace)},
    {"--force", NULL, "allow --libraries host across different releases", NVL_OPTION_FLAG,
     offsetof(struct attach_values, force)},
    {"--live", NULL, "change the running container now, without a restart", NVL_OPTION_FLAG,
     offsetof(struct attach_values, live)},
    {"--dry-run", NULL, "show what would change, without changing it", NVL_OPTION_FLAG,
     offsetof(struct attach_values, dry_run)},
    {0},
};

/* The state of one attach. */
struct attach {
    struct nvl_target target;
    struct nvl_host host;
    struct nvl_grant grant;
    struct nvl_resolved resolved;
    struct nvl_grant_places places;
    struct nvl_strv warnings;
    struct nvl_plan plan;
    size_t n_replaced; /* lines that nvlxc did not write and that are removed */
    struct nvl_live_step live;
};

static void attach_clear(struct attach *a)
{
    nvl_live_step_clear(&a->live);
    nvl_plan_clear(&a->plan);
    nvl_strv_clear(&a->warnings);
    nvl_grant_places_clear(&a->places);
    nvl_resolved_clear(&a->resolved);
    nvl_grant_clear(&a->grant);
    nvl_host_clear(&a->host);
    nvl_target_close(&a->target);
}

static void warn_about_grant(struct attach *a)
{
    if (a->host.driver.version[0] == '\0')
        nvl_strv_push(&a->warnings, "no NVIDIA driver is loaded: the container gets no GPU until one is");
    nvl_request_warn(&a->host, &a->resolved, &a->warnings);
}

/* The config for which rules are needed. If lines by hand are removed, the other lines make up the filter. */
static int read_bare(const struct attach *a, bool replace, struct nvl_config *bare, struct nvl_error *err)
{
    const struct nvl_config *config = &a->target.config;
    struct nvl_plan plan;

    int r = nvl_plan_detach(config, replace, &plan, err);
    if (r == 0)
        r = nvl_config_parse(bare, config->dialect, plan.text, plan.len, err);
    return r;
}

static int choose_rules(const struct nvl_context *ctx, struct attach *a, bool replace, struct nvl_error *err)
{
    const struct nvl_container *c = a->target.container;
    struct nvl_config nvl_auto(nvl_config_clear) bare = {0};
    struct nvl_effective nvl_auto(nvl_effective_clear) effective = {0};
    struct nvl_idmap map;

    int r = read_bare(a, replace, &bare, err);
    if (r == 0)
        r = nvl_effective_read(&ctx->root, c, &bare, &effective, err);
    if (r == 0)
        r = nvl_idmap_read(&effective, &map, err);
    if (r < 0)
        return r;
    enum nvl_device_filter filter = nvl_device_filter(c, &effective);
    /* Proxmox itself makes the rules for its dev[n] entries */
    for (size_t i = 0; filter == NVL_FILTER_ALLOW && i < a->resolved.n_nodes; i++)
        if (a->grant.delivery.nodes != NVL_NODES_DEV)
            nvl_strv_push(&a->places.rules, a->resolved.nodes[i].path);
    if (map.privileged && c->user == NULL && filter == NVL_FILTER_NONE)
        nvl_strv_push(&a->warnings,
                      "the container is privileged and has no device filter: nothing prevents it from making "
                      "nodes of the host's other GPUs");
    return 0;
}

/* Takes from the replaced lines what the command line does not name. */
static void adopt(const struct attach_values *values, struct attach *a)
{
    unsigned capabilities = nvl_adopt_capabilities(&a->target.effective);

    if (capabilities == 0)
        return;
    if (values->gpus.count == 0)
        nvl_adopt_gpus(&a->target.effective, &a->host, &a->grant, &a->warnings);
    if (values->capabilities == NULL && values->workload == NULL)
        a->grant.capabilities = capabilities;
}

static void look_at_lines(struct attach *a, bool replace)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) by_hand = {0}, strays = {0};

    nvl_effective_by_hand(&a->target.effective, &by_hand);
    nvl_config_stray_lines(&a->target.config, &strays);
    if (replace) {
        a->n_replaced = by_hand.count + strays.count;
    } else if (strays.count > 0) {
        nvl_autofree char *list = nvl_strv_join(&strays, "; ");
        nvl_strv_pushf(
            &a->warnings,
            "NVIDIA lines after the [section] have no effect and come back with a rollback: %s; to remove "
            "them: nvlxc detach %s && nvlxc attach %s --replace",
            list, a->target.name, a->target.name);
    }
}

/* Adds what --capabilities names to what the workload needs. */
static int take_workload(const struct nvl_context *ctx, const struct attach_values *values, struct attach *a,
                         struct nvl_error *err)
{
    struct nvl_template nvl_auto(nvl_template_clear) t = {0};

    if (values->workload == NULL)
        return 0;
    int r = nvl_template_find(&ctx->root, values->workload, &t, err);
    if (r < 0)
        return nvl_error_prefix(err, "--workload");
    a->grant.capabilities = t.capabilities | (values->capabilities != NULL ? a->grant.capabilities : 0);
    return 0;
}

static int parse_request(const struct nvl_context *ctx, const struct attach_values *values, struct attach *a,
                         struct nvl_error *err)
{
    int r = nvl_request_parse(&values->gpus, values->capabilities, values->required, &a->grant, err);

    if (r == 0)
        r = take_workload(ctx, values, a, err);
    a->grant.delivery.exclusive = values->exclusive;
    return r < 0 ? r : nvl_delivery_parse(values->nodes, values->libraries, &a->grant.delivery, err);
}

static int resolve_request(const struct nvl_context *ctx, const char *name,
                           const struct attach_values *values, struct attach *a, struct nvl_error *err)
{
    int r = nvl_target_open(&ctx->root, name, &a->target, err);

    if (r == 0)
        r = nvl_config_check(&ctx->root, &a->target, err);
    if (r == 0)
        r = nvl_host_read(&a->host, &ctx->root, NVL_GPUS_ALL, err);
    if (r < 0)
        return r;
    look_at_lines(a, values->replace);
    if (values->replace)
        adopt(values, a);
    r = nvl_request_resolve(&a->host, &a->grant, err);
    if (r == 0)
        nvl_grant_resolve(&a->grant, &a->host, &a->resolved);
    return r;
}

/* Decides everything before anything is written. */
static int prepare_attach(const struct nvl_context *ctx, const char *name, const struct attach_values *values,
                          struct attach *a, struct nvl_error *err)
{
    int r = parse_request(ctx, values, a, err);

    if (r == 0)
        r = resolve_request(ctx, name, values, a, err);
    if (r < 0)
        return r;
    warn_about_grant(a);
    a->live.asked_for = values->live;
    r = nvl_live_step_check(ctx, &a->target, &a->grant, values->dry_run, &a->live, err);
    if (r == 0)
        r = nvl_delivery_check(&ctx->root, &a->target, &a->host, &a->grant, &a->resolved, values->force,
                               &a->places, &a->warnings, err);
    if (r == 0)
        r = nvl_sharing_check(&a->target, &a->host, &a->grant, &a->resolved, &a->warnings, err);
    if (r == 0)
        r = choose_rules(ctx, a, values->replace, err);
    if (r < 0)
        return r;
    if (nvl_root_is_machine(&ctx->root) && !nvl_root_exists(&ctx->root, NVL_HOOK_PROGRAM))
        nvl_strv_push(&a->warnings, NVL_HOOK_PROGRAM " is not installed: containers start without a GPU");
    return nvl_plan_attach(&a->target.config, &a->grant, &a->places, values->replace, &a->plan, err);
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
        nvl_say(ctx, "%s: the driver, but no GPU", a->target.name);
    nvl_autofree char *ways = nvl_grant_ways_text(&a->grant);
    nvl_say(ctx, "%s: capabilities %s%s%s", a->target.name, words,
            a->grant.delivery.required ? "; required: the container does not start without them" : "", ways);
    if (a->n_replaced > 0)
        nvl_say(ctx,
                "%s: removed %zu lines about NVIDIA that nvlxc did not write; `nvlxc detach` restores the "
                "config without a GPU, not these lines",
                a->target.name, a->n_replaced);
}

static void say_when(const struct nvl_context *ctx, const struct attach *a)
{
    if (!nvl_container_is_running(&ctx->root, a->target.container)) {
        nvl_say(ctx, "the container gets it at its next start");
    } else if (!a->live.asked_for) {
        nvl_autofree char *restart = nvl_container_restart(a->target.container);
        nvl_say(ctx, "the container is running; restart it: %s; or run this again with --live", restart);
    }
}

static void print_attach_json(const struct attach *a, bool dry_run)
{
    nvl_autofree char *diff =
        dry_run ? nvl_plan_diff(a->target.container, &a->target.config, &a->plan) : NULL;

    nvl_print_json(json_pack(
        "{s:o,s:b,s:o,s:o,s:s,s:s,s:b,s:o,s:I,s:o,s:o,s:o}", "container", nvl_json_text(a->target.name),
        "changed", (int)a->plan.changes, "devices", nvl_json_devices(&a->grant), "capabilities",
        nvl_json_capabilities(a->grant.capabilities), "nodes", nvl_nodes_mode_name(a->grant.delivery.nodes),
        "libraries", nvl_libraries_mode_name(a->grant.delivery.libraries), "exclusive",
        (int)a->grant.delivery.exclusive, "rules", nvl_json_strings(&a->places.rules), "replaced",
        (json_int_t)a->n_replaced, "diff", dry_run ? nvl_json_text(diff) : json_null(), "live",
        nvl_live_step_json(&a->live), "warnings", nvl_json_strings(&a->warnings)));
}

static void tell(const struct nvl_context *ctx, const struct attach *a, bool dry_run)
{
    if (!a->plan.changes) {
        nvl_say(ctx, "%s: already attached, nothing to change", a->target.name);
    } else if (dry_run) {
        nvl_autofree char *diff = nvl_plan_diff(a->target.container, &a->target.config, &a->plan);
        if (!ctx->quiet && !ctx->json)
            fputs(nvl_make_printable(diff), stdout);
    } else {
        say_granted(ctx, a);
        say_when(ctx, a);
    }
}

/* Reads, decides, plans and writes; anew if somebody else wrote the config in between. */
static int attach_config(const struct nvl_context *ctx, const char *name, const struct attach_values *values,
                         struct attach *a, struct nvl_error *err)
{
    int r = -EAGAIN;

    for (int round = 0; r == -EAGAIN && round <= NVL_COMMIT_REPEATS; round++) {
        attach_clear(a);
        *a = (struct attach){0};
        r = prepare_attach(ctx, name, values, a, err);
        if (r == 0 && !values->dry_run)
            r = nvl_commit(&ctx->root, a->target.container, &a->target.config, &a->plan, err);
    }
    return r;
}

static int run_attach(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                      struct nvl_error *err)
{
    struct attach_values *values = data;
    struct attach nvl_auto(attach_clear) a = {0};

    int r = attach_config(ctx, arguments->items[0], values, &a, err);
    nvl_strv_clear(&values->gpus);
    if (r < 0)
        return r;
    tell(ctx, &a, values->dry_run);
    if (a.grant.delivery.libraries == NVL_LIBRARIES_BUNDLE)
        nvl_bundle_step(ctx, &a.host.driver, a.grant.capabilities, values->dry_run, &a.warnings);
    r = nvl_live_step_attach(ctx, &a.target, &a.grant, values->dry_run, &a.live, err);
    nvl_live_step_say(ctx, &a.target, &a.live, values->dry_run);
    if (r < 0)
        return r;
    if (ctx->json)
        print_attach_json(&a, values->dry_run);
    for (size_t i = 0; !ctx->json && i < a.warnings.count; i++)
        nvl_warn("%s", a.warnings.items[i]);
    return nvl_live_step_exit(&a.live);
}

const struct nvl_command nvl_cmd_attach = {
    .name = "attach",
    .arguments = "CT",
    .summary = "give GPUs to a container",
    .details = "CT is a Proxmox CTID or the name of an LXC container; if several containers\n"
               "share a name, add the owner: pve/220, root/web, alice/web. Without --gpu, attach\n"
               "gives the host's only GPU. It writes UUIDs, so the grant stays with its GPU when\n"
               "cards change places.\n"
               "\n"
               "A running container gets the GPU at its next start. With --live it gets nodes,\n"
               "driver and rules now, as its next start would add them, and loses the nodes of\n"
               "an earlier grant. Restart programs that run already so that they use the GPU.\n"
               "\n"
               "--capabilities takes compute, utility, video, graphics, display, ngx and\n"
               "compat32, separated by commas, or all. `nvlxc template` lists the workloads.\n"
               "\n"
               "--nodes hook: the start hook binds the nodes. --nodes dev: Proxmox's own dev[n]\n"
               "entries; a CT does not start while one of their nodes is missing on the host.\n"
               "--nodes static: mount entries that name the nodes as they are today.\n"
               "\n"
               "--libraries host: the host's whole library folder and /etc/alternatives in place\n"
               "of the container's; nvidia-smi is in /opt/nvidia-container. --libraries none:\n"
               "the container has its own driver.\n"
               "\n"
               "--replace removes what recipes and other tools wrote: rules, mounts, dev[n]\n"
               "entries, LXC's nvidia hook, even if it landed in a snapshot's section. What\n"
               "these lines grant is the default for this attach. detach later restores the\n"
               "config without a GPU, not these lines: keep a copy, or check --dry-run first.",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = attach_options,
    .values_size = sizeof(struct attach_values),
    .run = run_attach,
};
