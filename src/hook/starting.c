/* A container before its start, as its config says. */
#include "hook/starting.h"

#include "container/grant_lines.h"
#include "container/idmap.h"
#include "rootfs/own_nodes.h"

static bool read_config(const struct nvl_root *host, const char *path, struct nvl_config *config)
{
    char *text;
    size_t len;

    return path != NULL && path[0] == '/' && nvl_root_read(host, path, NVL_CONFIG_MAX, &text, &len) == 0 &&
           nvl_config_parse(config, NVL_DIALECT_LXC, text, len, NULL) == 0;
}

void nvl_starting_read(const struct nvl_root *host, const struct nvl_hook_call *call,
                       struct nvl_starting *starting)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    const struct nvl_container container = {
        .kind = NVL_CONTAINER_LXC, .name = call->container, .config_path = call->config};
    struct nvl_idmap map;

    *starting = (struct nvl_starting){0};
    if (!read_config(host, call->config, &config))
        return;
    starting->has_grant = nvl_config_grant(&config, &starting->grant, NULL) == 1;
    if (!starting->has_grant || nvl_idmap_read(host, &container, &config, &map, NULL) < 0)
        return;
    starting->has_owner = true;
    starting->uid = map.privileged ? 0 : map.uid0;
    starting->gid = map.privileged ? 0 : map.gid0;
}

void nvl_starting_clear(struct nvl_starting *starting)
{
    nvl_grant_clear(&starting->grant);
}

void nvl_starting_make_nodes(const struct nvl_starting *starting, const struct nvl_host *host,
                             const struct nvl_hook_call *call, struct nvl_report *report)
{
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved = {0};

    if (!starting->has_owner || starting->grant.nodes != NVL_NODES_HOOK || call->container == NULL)
        return;
    nvl_grant_resolve(&starting->grant, host, &resolved);
    for (size_t i = 0; i < resolved.n_nodes; i++)
        nvl_node_check(host->root, &resolved.nodes[i]);
    nvl_own_nodes_make(host->root, call->container, starting->uid, starting->gid, resolved.nodes,
                       resolved.n_nodes, &report->problems);
}
