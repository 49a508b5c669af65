/* Completes what a grant's lines name: rules, if the container's filter needs them, and its groups. */
#include "attach/delivery_check.h"

#include "attach/request.h"

#include "base/root.h"
#include "container/device_rules.h"
#include "container/idmap.h"
#include "container/rootfs_path.h"
#include "host/node.h"
#include "plan/plan.h"

/* The config for which rules are needed. If lines by hand are removed, the other lines make up the filter. */
static int read_bare(const struct nvl_config *config, bool replace, struct nvl_config *bare,
                     struct nvl_error *err)
{
    struct nvl_plan plan;

    int r = nvl_plan_detach(config, replace, &plan, err);
    if (r == 0)
        r = nvl_config_parse_next(bare, config, plan.text, plan.len, err);
    return r;
}

/* The container's own groups for /dev/dri, for Proxmox's dev[n] entries. A disk that only `pct mount` reaches
 * does not tell them: then the nodes are open to all, as NVIDIA's are. */
static void find_groups(const struct nvl_root *root, const struct nvl_target *target,
                        const struct nvl_idmap *map, struct nvl_grant_places *places)
{
    nvl_auto(nvl_root_close) struct nvl_root rootfs = NVL_ROOT_NONE;
    nvl_autofree char *why = NULL;
    const char *name;

    if (nvl_container_open_rootfs(root, target->container, &target->effective, map, &rootfs, &why) < 0)
        return;
    if (!nvl_node_group(&rootfs, "/dev/dri/card0", &name, &places->video))
        places->video = 0;
    if (!nvl_node_group(&rootfs, "/dev/dri/renderD128", &name, &places->render))
        places->render = 0;
}

/* By path, of all GPUs that a start may choose: the list is part of the config. */
static void add_rules(const struct nvl_host *host, const struct nvl_grant *grant,
                      const struct nvl_resolved *resolved, struct nvl_grant_places *places,
                      struct nvl_strv *warnings)
{
    nvl_auto(nvl_resolved_clear) struct nvl_resolved wide = {0};

    if (nvl_grant_is_open(grant)) {
        nvl_open_resolve_wide(grant, host, &wide);
        resolved = &wide;
        nvl_strv_push(warnings,
                      "its list of devices is part of the config and has those of this host: where it "
                      "starts on another node, attach there again, or make it unprivileged");
    }
    for (size_t i = 0; i < resolved->n_nodes; i++)
        nvl_strv_push(&places->rules, resolved->nodes[i].path);
}

int nvl_places_complete(const struct nvl_host *host, const struct nvl_target *target,
                        const struct nvl_grant *grant, const struct nvl_resolved *resolved, bool replace,
                        struct nvl_grant_places *places, struct nvl_strv *warnings, struct nvl_error *err)
{
    const struct nvl_root *root = host->root;
    const struct nvl_container *c = target->container;
    struct nvl_config nvl_auto(nvl_config_clear) bare = {0};
    struct nvl_effective nvl_auto(nvl_effective_clear) effective = {0};
    struct nvl_idmap map;

    int r = read_bare(&target->config, replace, &bare, err);
    if (r == 0)
        r = nvl_effective_read_again(root, c, &bare, &target->effective, &effective, err);
    if (r == 0)
        r = nvl_idmap_read(&effective, &map, err);
    if (r < 0)
        return r;
    enum nvl_device_filter filter = nvl_device_filter(c, &effective);
    places->needs_rules = filter == NVL_FILTER_ALLOW;
    /* Proxmox itself makes the rules for its dev[n] entries */
    if (places->needs_rules && grant->delivery.nodes != NVL_NODES_DEV)
        add_rules(host, grant, resolved, places, warnings);
    if (grant->delivery.nodes == NVL_NODES_DEV)
        find_groups(root, target, &map, places);
    if (map.privileged && c->user == NULL && filter == NVL_FILTER_NONE)
        nvl_strv_push(warnings,
                      "the container is privileged and has no device filter: nothing prevents it from making "
                      "nodes of the host's other GPUs");
    return 0;
}
