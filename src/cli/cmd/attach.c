/* nvlxc attach: gives GPUs to a container through its config. The host decides which GPUs there are, the plan
 * what changes, the commit writes; a running container gets the GPU at its restart. */
#include <errno.h>
#include <stdio.h>

#include "plan/diff.h"
#include "plan/tags.h"
#include "base/fix.h"
#include "base/printable.h"
#include "base/paths.h"
#include "container/holding.h"
#include "attach/delivery_check.h"
#include "cli/bundle_step.h"
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/globals.h"
#include "container/owned_lines.h"
#include "cli/live_step.h"
#include "attach/request.h"
#include "container/target.h"
#include "doctor/diagnose.h"
#include "apply/commit.h"
#include "grant/resolve.h"
#include "template/template.h"

struct attach_values {
    struct nvl_strv gpus;
    const char *capabilities, *workload, *nodes, *libraries;
    struct nvl_strv with;
    bool required, exclusive, tag, cdi, replace, force, live, dry_run;
};

static const struct nvl_option attach_options[] = {
    {"--gpu", "SEL", "index, UUID, PCI, MIG device, all, none, any, model:TEXT, mapping:NAME; repeatable",
     NVL_OPTION_LIST, offsetof(struct attach_values, gpus), .default_value = "the only one",
     .values = nvl_gpu_values},
    {"--capabilities", "LIST", "what its programs may do", NVL_OPTION_STRING,
     offsetof(struct attach_values, capabilities), .default_value = "compute,utility",
     .values = nvl_capability_values, .has_commas = true},
    {"--workload", "NAME", "add the capabilities of this template", NVL_OPTION_STRING,
     offsetof(struct attach_values, workload), .values = "@templates"},
    {"--nodes", "WAY", "who adds device nodes", NVL_OPTION_STRING, offsetof(struct attach_values, nodes),
     .default_value = "hook",
     .values = "hook\tthe start hook binds them at each start\n"
               "dev\tProxmox makes them, by dev[n] entries\n"
               "static\tmount entries name them as they are today"},
    {"--libraries", "WAY", "the driver's files", NVL_OPTION_STRING, offsetof(struct attach_values, libraries),
     .default_value = "bundle",
     .values = "bundle\tthose of the driver that is loaded at each start\n"
               "host\tthe host's whole library folder\n"
               "none\tthe container has its own"},
    {"--with", "LIST", "what else it gets", NVL_OPTION_LIST, offsetof(struct attach_values, with),
     .values = "mps\tthe Multi-Process Service\n"
               "persistenced\tthe socket of nvidia-persistenced\n"
               "fabricmanager\tthe socket of the fabric manager\n"
               "gdrcopy\tthe node of gdrdrv\n"
               "imex=0\tan IMEX channel, by its number",
     .has_commas = true},
    {"--required", NULL, "refuse to start the container without its grant", NVL_OPTION_FLAG,
     offsetof(struct attach_values, required)},
    {"--cdi", NULL, "keep a CDI specification in it, for Docker and podman there", NVL_OPTION_FLAG,
     offsetof(struct attach_values, cdi)},
    {"--exclusive", NULL, "share these GPUs with no other container", NVL_OPTION_FLAG,
     offsetof(struct attach_values, exclusive)},
    {"--tag", NULL, "show its GPUs in Proxmox's tags of the CT, until detach", NVL_OPTION_FLAG,
     offsetof(struct attach_values, tag)},
    {"--replace", NULL, "replace NVIDIA lines that were written by hand", NVL_OPTION_FLAG,
     offsetof(struct attach_values, replace)},
    {"--force", NULL, "attach where it would stop the start, releases differ, or no GPU fits",
     NVL_OPTION_FLAG, offsetof(struct attach_values, force)},
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
    bool had_tags;                     /* an earlier grant has tags of its GPUs in the config */
    struct nvl_strv replaced, instead; /* lines that nvlxc did not write, and what takes their place */
    struct nvl_findings obstacles;     /* to the container's start, or the driver's way into it */
    enum nvl_bundle_state bundle;
    struct nvl_live_step live;
};

static void attach_clear(struct attach *a)
{
    nvl_live_step_clear(&a->live);
    nvl_findings_clear(&a->obstacles);
    nvl_strv_clear(&a->replaced);
    nvl_strv_clear(&a->instead);
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

static void warn_about_strays(struct attach *a)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) strays = {0};

    nvl_config_stray_lines(&a->target.config, &strays);
    if (strays.count == 0)
        return;
    nvl_autofree char *list = nvl_strv_join(&strays, "; ");
    nvl_strv_pushf(&a->warnings,
                   "NVIDIA lines after the [section] have no effect and come back with a rollback: %s; to "
                   "remove them: nvlxc detach %s && nvlxc attach %s --replace",
                   list, a->target.word, a->target.word);
}

/* Adds what --capabilities names to what the workload needs. */
static int take_workload(const struct attach_values *values, struct attach *a, struct nvl_error *err)
{
    struct nvl_template nvl_auto(nvl_template_clear) t = {0};

    if (values->workload == NULL)
        return 0;
    int r = nvl_template_find(NULL, values->workload, &t, err);
    if (r < 0)
        return nvl_error_prefix(err, "--workload");
    a->grant.capabilities = t.capabilities | (values->capabilities != NULL ? a->grant.capabilities : 0);
    return 0;
}

static int parse_request(const struct attach_values *values, struct attach *a, struct nvl_error *err)
{
    int r = nvl_request_parse(&values->gpus, values->capabilities, values->required, &a->grant, err);

    if (r == 0)
        r = take_workload(values, a, err);
    a->grant.delivery.exclusive = values->exclusive;
    a->grant.delivery.cdi = values->cdi;
    return r < 0
               ? r
               : nvl_delivery_parse(values->nodes, values->libraries, &values->with, &a->grant.delivery, err);
}

/* A CT that has tags of its GPUs keeps them true. */
static int take_tag(const struct attach_values *values, struct attach *a, struct nvl_error *err)
{
    bool is_pve = a->target.container->kind == NVL_CONTAINER_PVE;
    struct nvl_delivery now;

    a->had_tags = is_pve && nvl_effective_delivery(&a->target.effective, &now) && now.tag;
    a->grant.delivery.tag = values->tag || a->had_tags;
    return values->tag && !is_pve
               ? nvl_error_usage(
                     err, "--tag is for Proxmox's CTs: the config of %s, an LXC container, has no tags",
                     a->target.name)
               : 0;
}

static int plan_tags(struct attach *a, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv tags = {0};

    if (!a->grant.delivery.tag)
        return 0;
    nvl_grant_tags(&a->grant, &a->resolved, &tags);
    return nvl_plan_tag(&a->plan, &a->target.config, &tags, a->had_tags, err);
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
    if (values->replace)
        adopt(values, a);
    else
        warn_about_strays(a);
    r = nvl_choose_gpu(ctx, &a->host, &a->grant, err);
    if (r == 0)
        r = take_tag(values, a, err);
    if (r == 0)
        r = nvl_open_check(a->target.container, &a->grant, err);
    if (r == 0)
        r = nvl_request_resolve(&a->host, &a->grant, values->force, err);
    if (r == 0)
        nvl_grant_resolve(&a->grant, &a->host, &a->resolved);
    return r;
}

/* ---- will it start? ---- */

static void find_obstacles(const struct attach *a, const char *text, size_t len,
                           struct nvl_findings *obstacles)
{
    struct nvl_config config;

    if (nvl_config_parse_next(&config, &a->target.config, nvl_xstrndup(text, len), len, NULL) == 0)
        nvl_diagnose_start(&a->host, &a->target, &config, obstacles);
}

static int refuse_start(const struct attach *a, const struct nvl_finding *f, struct nvl_error *err)
{
    nvl_autofree char *evidence = nvl_fix_in_line(f->evidence);

    nvl_error_set(err, -EEXIST, "%s: with this grant, %s (%s)", a->target.name, f->title, evidence);
    nvl_error_hint(err, "%s\nthen attach again", f->fix != NULL ? f->fix : "remove what stops it");
    return -EEXIST;
}

/* Asks doctor's checks about the config as it is, and as it would be. What stops the start anyway, with or
 * without a GPU, is said, and no reason to refuse. */
static int check_start(struct attach *a, bool force, struct nvl_error *err)
{
    nvl_auto(nvl_findings_clear) struct nvl_findings before = {0};
    const struct nvl_config *now = &a->target.config;

    find_obstacles(a, a->plan.text, a->plan.len, &a->obstacles);
    if (a->obstacles.count > 0 || a->replaced.count > 0)
        find_obstacles(a, now->text, now->len, &before);
    const struct nvl_finding *stopper = nvl_find_new_stopper(&a->obstacles, &before),
                             *was = nvl_find_stopper(&before);
    if (stopper != NULL && !force)
        return refuse_start(a, stopper, err);
    if (was != NULL && nvl_find_stopper(&a->obstacles) == NULL) {
        nvl_autofree char *evidence = nvl_fix_in_line(was->evidence);
        nvl_strv_pushf(&a->warnings, "%s did not start before: %s (%s); the new lines mend that",
                       a->target.name, was->title, evidence);
    }
    return 0;
}

/* Decides everything before anything is written. */
static int prepare_attach(const struct nvl_context *ctx, const char *name, const struct attach_values *values,
                          struct attach *a, struct nvl_error *err)
{
    int r = parse_request(values, a, err);

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
        r = nvl_places_complete(&a->host, &a->target, &a->grant, &a->resolved, values->replace, &a->places,
                                &a->warnings, err);
    if (r < 0)
        return r;
    if (nvl_root_is_machine(&ctx->root) && !nvl_root_exists(&ctx->root, NVL_HOOK_PROGRAM))
        nvl_strv_push(&a->warnings, NVL_HOOK_PROGRAM " is not installed: containers start without a GPU");
    if (values->replace)
        nvl_replaced_list(&ctx->root, &a->target.effective, &a->grant, &a->resolved,
                          a->places.rules.count > 0, &a->replaced, &a->instead);
    r = nvl_plan_attach(&a->target.config, &a->grant, &a->places, values->replace, &a->plan, err);
    if (r == -EEXIST)
        nvl_error_hint(err, "what nvlxc would write in their place: nvlxc attach %s --replace --dry-run",
                       a->target.word);
    if (r == 0)
        r = plan_tags(a, err);
    return r == 0 ? check_start(a, values->force, err) : r;
}

/* "220: …", with the name as the title. */
static void say_of(const struct nvl_context *ctx, const struct attach *a, const char *fmt, ...)
    NVL_PRINTF(3, 4);
static void say_of(const struct nvl_context *ctx, const struct attach *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    nvl_autofree char *text = nvl_xvasprintf(fmt, ap);
    va_end(ap);
    nvl_autofree char *first = nvl_xasprintf("%s: ", a->target.name);
    nvl_say_spans(ctx, (struct nvl_span){NVL_TITLE, first}, (const struct nvl_span[]){{NVL_PLAIN, text}, {0}},
                  true);
}

static void say_granted(const struct nvl_context *ctx, const struct attach *a)
{
    nvl_autofree char *words = nvl_capabilities_format(a->grant.capabilities);

    for (size_t i = 0; i < a->resolved.n_gpus; i++) {
        const struct nvl_resolved_gpu *g = &a->resolved.gpus[i];
        nvl_autofree char *text = nvl_gpu_text(g->gpu);
        if (g->selector >= 0)
            say_of(ctx, a, "%s is %s now", a->grant.selectors[g->selector].text, text);
        else if (g->mig != NULL)
            say_of(ctx, a, "MIG device %u/%u of %s", g->mig->gi, g->mig->ci, text);
        else
            say_of(ctx, a, "%s", text);
    }
    if (nvl_grant_is_open(&a->grant))
        say_of(ctx, a, "each start decides anew, on the node where it starts");
    if (a->grant.devices == NVL_DEVICES_NONE)
        say_of(ctx, a, "the driver, but no GPU");
    nvl_autofree char *ways = nvl_grant_ways_text(&a->grant);
    say_of(ctx, a, "capabilities %s%s%s", words,
           a->grant.delivery.required ? "; required: the container does not start without them" : "", ways);
}

/* The config's line stays one; what takes its place follows it if the terminal is too narrow for both. */
static void say_instead(const struct nvl_context *ctx, const char *line, const char *instead)
{
    bool is_long = nvl_is_on_terminal() && strlen(line) + strlen(instead) + 6 > nvl_columns();

    nvl_say(ctx, "  %s%s-> %s", line, is_long ? "\n    " : " ", instead);
}

static void say_replaced(const struct nvl_context *ctx, const struct attach *a, bool dry_run)
{
    size_t n = a->replaced.count;

    if (n > 0)
        say_of(ctx, a,
               "%s %zu line%s about NVIDIA that nvlxc did not write; `nvlxc detach` restores the config "
               "without a GPU, not these lines:",
               dry_run ? "would remove" : "removed", n, n == 1 ? "" : "s");
    for (size_t i = 0; i < n; i++)
        say_instead(ctx, a->replaced.items[i], a->instead.items[i]);
}

/* Each line in one of its own, to be read and pasted. */
static void add_lines(struct nvl_buf *b, const char *text)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv lines = {0};

    nvl_strv_split(&lines, text != NULL ? text : "", "\n");
    for (size_t i = 0; i < lines.count; i++)
        nvl_buf_addf(b, "\n    %s", lines.items[i]);
}

/* As nvl_warn does: what four blanks begin stays one line. */
static void say_note(const struct nvl_context *ctx, const char *text)
{
    const char *line;
    size_t pos = 0, len;

    while (nvl_next_line(text, strlen(text), &pos, &line, &len)) {
        size_t blanks = strspn(line, " ");
        nvl_autofree char *first = nvl_xstrndup(line, blanks);
        if (blanks >= 4)
            nvl_say(ctx, "%.*s", (int)len, line);
        else
            nvl_say_fact(ctx, first, "%.*s", (int)(len - blanks), line + blanks);
    }
}

static void say_obstacle(const struct nvl_context *ctx, const struct attach *a, const struct nvl_finding *f)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};

    nvl_buf_addf(&text, "%s: %s", a->target.name, f->title);
    add_lines(&text, f->evidence);
    if (f->cause != NULL)
        nvl_buf_addf(&text, "\n  why: %s", f->cause);
    if (f->fix != NULL)
        nvl_buf_addf(&text, "\n  fix:");
    add_lines(&text, f->fix);
    if (f->severity == NVL_SEVERITY_NOTE)
        say_note(ctx, text.data);
    else
        nvl_warn("%s", text.data);
}

static void say_when(const struct nvl_context *ctx, const struct attach *a)
{
    if (nvl_find_stopper(&a->obstacles) != NULL) {
        nvl_say(ctx, "the container gets it once it starts: see the warnings");
    } else if (!nvl_container_is_running(&ctx->root, a->target.container)) {
        nvl_autofree char *start = nvl_container_start(a->target.container);
        nvl_say_fact(ctx, "", "the container gets it at its next start: %s", start);
    } else if (!a->live.asked_for) {
        nvl_autofree char *restart = nvl_container_restart(a->target.container);
        nvl_say_fact(ctx, "", "the container is running; restart it: %s; or run this again with --live",
                     restart);
    }
    nvl_say_fact(ctx, "", "then try it from inside: nvlxc verify %s", a->target.word);
}

static void print_attach_json(const struct attach *a, bool dry_run)
{
    nvl_autofree char *diff =
        dry_run ? nvl_plan_diff(a->target.container, &a->target.config, &a->plan) : NULL;

    nvl_print_json(json_pack(
        "{s:o,s:b,s:b,s:o,s:b,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "container", nvl_json_text(a->target.name),
        "dry_run", (int)dry_run, "changed", (int)a->plan.changes, "grant", nvl_json_grant(&a->grant),
        "starts", (int)(nvl_find_stopper(&a->obstacles) == NULL), "findings",
        nvl_json_findings(&a->obstacles), "bundle_state", nvl_json_string(nvl_bundle_state_name(a->bundle)),
        "new_rules", nvl_json_strings(&a->places.rules), "replaced",
        nvl_json_replaced(&a->replaced, &a->instead), "diff", dry_run ? nvl_json_text(diff) : json_null(),
        "live", nvl_live_step_json(&a->live), "warnings", nvl_json_strings(&a->warnings)));
}

static void tell(const struct nvl_context *ctx, const struct attach *a, bool dry_run)
{
    if (!a->plan.changes) {
        say_of(ctx, a, "already attached, nothing to change");
    } else if (dry_run) {
        nvl_autofree char *diff = nvl_plan_diff(a->target.container, &a->target.config, &a->plan);
        nvl_say_diff(ctx, "", diff);
        say_replaced(ctx, a, true);
    } else {
        say_granted(ctx, a);
        say_replaced(ctx, a, false);
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

    nvl_autofree char *chosen = arguments->count == 0 ? nvl_choose_container(ctx, err) : NULL;
    const char *name = arguments->count > 0 ? arguments->items[0] : chosen;
    int r = name != NULL ? attach_config(ctx, name, values, &a, err) : err->code;
    if (r < 0)
        return r;
    tell(ctx, &a, values->dry_run);
    if (a.grant.delivery.libraries == NVL_LIBRARIES_BUNDLE)
        a.bundle = nvl_bundle_step(ctx, &a.host.driver, a.grant.capabilities, values->dry_run, &a.warnings);
    r = nvl_live_step_attach(ctx, &a.target, &a.grant, values->dry_run, &a.live, err);
    nvl_live_step_say(ctx, &a.target, &a.live, values->dry_run);
    if (r < 0)
        return r;
    if (ctx->json)
        print_attach_json(&a, values->dry_run);
    for (size_t i = 0; !ctx->json && i < a.warnings.count; i++)
        nvl_warn("%s", a.warnings.items[i]);
    for (size_t i = 0; !ctx->json && i < a.obstacles.count; i++)
        say_obstacle(ctx, &a, &a.obstacles.items[i]);
    return a.bundle == NVL_BUNDLE_MISSING ? NVL_EXIT_FAILED : nvl_live_step_exit(&a.live);
}

static const struct nvl_example attach_examples[] = {
    {"attach 101", "the host's only GPU, for instance for Ollama in Proxmox CT 101"},
    {"attach 101 --gpu 1 --live", "the second GPU, now, while the CT runs"},
    {"attach media --workload jellyfin --dry-run",
     "what would change in the config of the LXC container media"},
    {"attach 101 --gpu any", "a GPU of the cluster's node where the CT starts"},
    {"attach 101 --replace --dry-run", "what would take the place of a recipe's lines by hand"},
    {0},
};

const struct nvl_command nvl_cmd_attach = {
    .name = "attach",
    .arguments = "CT",
    .summary = "give GPUs to a container",
    .details = "CT is a Proxmox CTID or the name of a container of LXC, Incus or LXD; if several\n"
               "share a name, add the owner: pve/220, root/web, alice/web, incus/web, or\n"
               "incus/PROJECT/web. Without --gpu, attach gives the host's only GPU. On a terminal it asks "
               "for what is missing: the\n"
               "container, or which of several GPUs. It writes UUIDs, so the grant stays with its GPU when\n"
               "cards change places.\n"
               "\n"
               "--gpu any, model:TEXT and mapping:NAME stay as they are, and each start decides,\n"
               "on the node where it starts: each gives the first GPU there that fits. mapping is\n"
               "Proxmox's resource mapping.\n"
               "\n"
               "A running container gets the GPU at its next start. With --live it gets nodes,\n"
               "driver and rules now, as its next start would add them, and loses the nodes of\n"
               "an earlier grant. Restart programs that run already so that they use the GPU.\n"
               "\n"
               "LIST is words with commas between. `nvlxc template` lists the workloads.\n"
               "\n"
               "--nodes hook: the start hook binds the nodes. --nodes dev: Proxmox's own dev[n]\n"
               "entries; a CT does not start while one of their nodes is missing on the host.\n"
               "--nodes static: mount entries that name the nodes as they are today.\n"
               "\n"
               "--libraries host: the host's whole library folder and /etc/alternatives in place\n"
               "of the container's; nvidia-smi is in /opt/nvidia-container. --libraries none:\n"
               "the container has its own driver.\n"
               "\n"
               "--with adds what some setups need beside GPU and driver: mps, persistenced,\n"
               "fabricmanager (their sockets), gdrcopy, imex=N (their nodes). Lines about these\n"
               "that others wrote stay, with --replace, too.\n"
               "\n"
               "attach asks beforehand whether the container will start with the new config. If\n"
               "its lines would stop a start that works now, it refuses and names the line.\n"
               "\n"
               "--replace removes what recipes and other tools wrote: rules, mounts, dev[n]\n"
               "entries, LXC's nvidia hook, even if it landed in a snapshot's section. What\n"
               "these lines grant is the default for this attach. detach later restores the\n"
               "config without a GPU, not these lines: keep a copy, or check --dry-run first.",
    .examples = attach_examples,
    .max_arguments = 1,
    .argument_values = "@containers",
    .options = attach_options,
    .values_size = sizeof(struct attach_values),
    .run = run_attach,
};
