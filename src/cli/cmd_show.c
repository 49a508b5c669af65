/* nvlxc show: what a container's grant says, and what it comes to on this host now. It exits 1 where
 * something of it is not there. */
#include "cli/bundle_step.h"
#include "cli/command.h"
#include "cli/grant_text.h"
#include "cli/show.h"

static void shown_clear(struct nvl_shown *s)
{
    nvl_strv_clear(&s->by_hand);
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
    int r = nvl_target_open(ctx, name, &s->target, err);

    if (r < 0)
        return r;
    s->running = nvl_container_is_running(&ctx->root, s->target.container);
    nvl_config_by_hand(&s->target.config, &s->by_hand);
    r = nvl_config_grant(&s->target.config, &s->grant, err);
    s->granted = r > 0;
    /* the config is wrong, not the command line */
    if (r < 0 && err->exit == NVL_EXIT_USAGE)
        err->exit = NVL_EXIT_FAILED;
    return r < 0 ? nvl_error_prefix(err, "%s", s->target.container->config_path) : 0;
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
        if (s->filter == NVL_FILTER_ALLOW && !nvl_strv_contains(&s->rules, node->path))
            nvl_strv_push(&s->rules_missing, node->path);
    }
    return 0;
}

bool nvl_shown_is_well(const struct nvl_shown *s)
{
    for (size_t i = 0; i < s->resolved.n_nodes; i++)
        if (s->resolved.nodes[i].state != NVL_NODE_OK)
            return false;
    return s->resolved.missing.count == 0 && s->rules_missing.count == 0;
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
    .details = "It exits 1 where something of the grant is not on this host, a device node is not as it "
               "should be, or the\n"
               "container's device filter keeps a node out.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_show,
};
