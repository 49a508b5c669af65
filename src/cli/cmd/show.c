/* nvlxc show: what a container's grant says, and what it comes to on this host now. It exits 1 where
 * something of it is not there. */
#include "bundle/list.h"
#include "cli/bundle_step.h"
#include "cli/command.h"
#include "cli/grant_text.h"
#include "cli/show.h"
#include "attach/delivery_check.h"
#include "container/foreign.h"

static void shown_clear(struct nvl_shown *s)
{
    nvl_strv_clear(&s->closed);
    nvl_library_path_clear(&s->library_path);
    nvl_strv_clear(&s->strays);
    nvl_strv_clear(&s->by_hand);
    free(s->container_release);
    free(s->host_release);
    nvl_strv_clear(&s->entries_other);
    nvl_strv_clear(&s->entries_missing);
    nvl_strv_clear(&s->entries);
    nvl_strv_clear(&s->rules_missing);
    nvl_strv_clear(&s->rules);
    nvl_resolved_clear(&s->resolved);
    nvl_host_clear(&s->host);
    nvl_grant_clear(&s->grant);
    nvl_target_close(&s->target);
}

static int read_grant(const struct nvl_context *ctx, const char *name, struct nvl_shown *s,
                      struct nvl_error *err)
{
    int r = nvl_target_open(&ctx->root, name, &s->target, err);

    if (r < 0)
        return r;
    s->running = nvl_container_is_running(&ctx->root, s->target.container);
    nvl_config_by_hand(&s->target.config, &s->by_hand);
    nvl_config_stray_lines(&s->target.config, &s->strays);
    r = nvl_config_grant(&s->target.config, &s->grant, err);
    s->granted = r > 0;
    /* the config is wrong, not the command line */
    if (r < 0 && err->exit == NVL_EXIT_USAGE)
        err->exit = NVL_EXIT_FAILED;
    return r < 0 ? nvl_error_prefix(err, "%s", s->target.container->config_path) : 0;
}

/* Whoever's line it is that brings a node: another's is as good. */
static void named_by_anyone(const struct nvl_config *config, struct nvl_strv *paths)
{
    for (size_t i = 0; i < config->n_lines && config->lines[i].section == 0; i++)
        if (config->lines[i].kind == NVL_LINE_KEY && !nvl_has_prefix(config->lines[i].key, "lxc.cgroup"))
            nvl_line_nodes(&config->lines[i], paths);
}

static bool is_granted(const struct nvl_shown *s, const char *path)
{
    for (size_t i = 0; i < s->resolved.n_nodes; i++)
        if (strcmp(s->resolved.nodes[i].path, path) == 0)
            return true;
    return false;
}

static void compare_entries(struct nvl_shown *s)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) named = {0};

    nvl_config_entries(&s->target.config, &s->entries);
    named_by_anyone(&s->target.config, &named);
    for (size_t i = 0; i < s->resolved.n_nodes; i++) {
        const char *path = s->resolved.nodes[i].path;
        bool is_in_folder = nvl_has_prefix(path, "/dev/dri/") && nvl_strv_contains(&named, "/dev/dri");
        if (!is_in_folder && !nvl_strv_contains(&named, path))
            nvl_strv_push(&s->entries_missing, path);
    }
    for (size_t i = 0; i < s->entries.count; i++)
        if (!is_granted(s, s->entries.items[i]))
            nvl_strv_push(&s->entries_other, s->entries.items[i]);
}

static void compare_releases(const struct nvl_context *ctx, struct nvl_shown *s)
{
    nvl_autofree char *host = NULL, *container = NULL;

    if (nvl_is_same_release(&ctx->root, &s->target, &host, &container))
        return;
    s->host_release = TAKE_PTR(host);
    s->container_release = TAKE_PTR(container);
}

static int resolve(const struct nvl_context *ctx, struct nvl_shown *s, struct nvl_error *err)
{
    int r = nvl_host_read(&s->host, &ctx->root, NVL_GPUS_ALL, err);

    if (r == 0)
        r = nvl_device_filter(&ctx->root, s->target.container, &s->target.config, &s->filter, err);
    if (r < 0)
        return r;
    s->bundle_present = nvl_bundle_is_present(&ctx->root, s->host.driver.version);
    nvl_config_rules(&s->target.config, &s->rules);
    nvl_grant_resolve(&s->grant, &s->host, &s->resolved);
    for (size_t i = 0; i < s->resolved.n_nodes; i++) {
        struct nvl_node *node = &s->resolved.nodes[i];
        nvl_node_check(&ctx->root, node);
        /* the rules of dev[n] entries are Proxmox's business */
        if (s->filter == NVL_FILTER_ALLOW && s->grant.delivery.nodes != NVL_NODES_DEV &&
            !nvl_strv_contains(&s->rules, node->path))
            nvl_strv_push(&s->rules_missing, node->path);
    }
    if (s->grant.delivery.nodes != NVL_NODES_HOOK)
        compare_entries(s);
    if (s->grant.delivery.libraries == NVL_LIBRARIES_HOST)
        compare_releases(ctx, s);
    nvl_shown_look_inside(ctx, s);
    return 0;
}

bool nvl_shown_is_well(const struct nvl_shown *s)
{
    for (size_t i = 0; i < s->resolved.n_nodes; i++)
        if (s->resolved.nodes[i].state != NVL_NODE_OK)
            return false;
    return s->resolved.missing.count == 0 && s->rules_missing.count == 0 && s->entries_missing.count == 0 &&
           s->entries_other.count == 0;
}

static int run_show(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                    struct nvl_error *err)
{
    struct nvl_shown nvl_auto(shown_clear) s = {0};

    (void)data;
    int r = read_grant(ctx, arguments->items[0], &s, err);
    if (r == 0 && s.granted)
        r = resolve(ctx, &s, err);
    if (r < 0)
        return r;
    if (ctx->json)
        nvl_shown_print_json(&s);
    else
        nvl_shown_print(ctx, &s);
    return nvl_shown_is_well(&s) ? NVL_EXIT_OK : NVL_EXIT_FAILED;
}

const struct nvl_command nvl_cmd_show = {
    .name = "show",
    .arguments = "CT",
    .summary = "one container's grant, and what it resolves to now",
    .details =
        "It exits 1 where something of the grant is not on this host, a device node is not as it "
        "should be, the\n"
        "container's device filter keeps a node out, or mount entries and dev[n] entries name other nodes "
        "than the\n"
        "grant's. NVIDIA lines that nvlxc did not write are shown as 'by hand'.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_show,
};
