/* A container before its start, as its config says. */
#include "hook/starting.h"

#include "container/idmap.h"
#include "inject/node_copies.h"

void nvl_starting_read(const struct nvl_root *host, const struct nvl_hook_call *call,
                       struct nvl_starting *starting)
{
    char *text;
    size_t len;

    *starting = (struct nvl_starting){0};
    if (call->config == NULL || call->config[0] != '/' ||
        nvl_root_read(host, call->config, NVL_CONFIG_MAX, &text, &len) < 0 ||
        nvl_config_parse(&starting->config, NVL_DIALECT_LXC, text, len, NULL) < 0)
        return;
    const struct nvl_container container = {
        .kind = NVL_CONTAINER_LXC, .name = call->container, .config_path = call->config};
    nvl_effective_read(host, &container, &starting->config, &starting->effective, &starting->incomplete);
    starting->has_grant = nvl_effective_grant(&starting->effective, &starting->grant, NULL) == 1;
}

void nvl_starting_clear(struct nvl_starting *starting)
{
    nvl_grant_clear(&starting->grant);
    nvl_effective_clear(&starting->effective);
    nvl_config_clear(&starting->config);
}

void nvl_starting_make_nodes(const struct nvl_starting *starting, const struct nvl_host *host,
                             const struct nvl_seen_nodes *seen, const struct nvl_hook_call *call,
                             struct nvl_outcome *report)
{
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved = {0};
    struct nvl_error err = starting->incomplete;
    struct nvl_idmap map;

    if (!starting->has_grant || starting->grant.delivery.nodes != NVL_NODES_HOOK || call->container == NULL)
        return;
    nvl_grant_resolve(&starting->grant, host, &resolved);
    for (size_t i = 0; i < resolved.n_nodes; i++)
        nvl_seen_nodes_check(seen, host->root, &resolved.nodes[i]);
    if (!nvl_node_copies_are_needed(&resolved))
        nvl_node_copies_remove(host->root, call->container);
    else if (err.code < 0 || nvl_idmap_read(&starting->effective, &map, &err) < 0)
        nvl_strv_push(&report->problems, err.message);
    else
        nvl_node_copies_make(host->root, &resolved, call->container, map.uid0, map.gid0, &report->problems);
}
