/* What takes the place of each line that `attach --replace` takes. */
#include "attach/delivery_check.h"
#include "container/entry.h"
#include "container/foreign.h"
#include "container/node_makers.h"
#include "container/owned_lines.h"
#include "host/node.h"

static bool is_resolved_node(const struct nvl_resolved *resolved, const char *path)
{
    for (size_t i = 0; i < resolved->n_nodes; i++)
        if (strcmp(resolved->nodes[i].path, path) == 0)
            return true;
    return strcmp(path, "/dev/nvidia-caps") == 0; /* a folder: its nodes come one by one */
}

static const char *instead_of_node(const struct nvl_grant *grant, const struct nvl_resolved *resolved,
                                   const char *path)
{
    if (!is_resolved_node(resolved, path))
        return "nothing: the grant does not include this node";
    switch (grant->delivery.nodes) {
    case NVL_NODES_DEV:
        return "a dev[n] entry of the grant";
    case NVL_NODES_STATIC:
        return "a mount entry of the grant";
    case NVL_NODES_HOOK:
        break;
    }
    return "the start hook binds the node";
}

static const char *instead_of_file(const struct nvl_grant *grant)
{
    switch (grant->delivery.libraries) {
    case NVL_LIBRARIES_HOST:
        return "the host's library folders";
    case NVL_LIBRARIES_NONE:
        return "nothing: --libraries none";
    case NVL_LIBRARIES_BUNDLE:
        break;
    }
    return "the driver's bundle";
}

/* "/dev/dri" and "/dev/dri/card*" too, if the grant brings a node there. */
static bool is_brought(const struct nvl_resolved *resolved, const char *path)
{
    size_t len = strcspn(path, "*");
    bool is_begin = path[len] == '*';

    for (size_t i = 0; i < resolved->n_nodes; i++) {
        const char *node = resolved->nodes[i].path;
        if (strncmp(node, path, len) == 0 && (is_begin || node[len] == '\0' || node[len] == '/'))
            return true;
    }
    return nvl_node_is_nvidias(path);
}

static bool is_folder_of(const char *path, const struct nvl_strv *paths)
{
    size_t len = strlen(path);

    for (size_t i = 0; i < paths->count; i++)
        if (strncmp(paths->items[i], path, len) == 0 && paths->items[i][len] == '/')
            return true;
    return false;
}

/* A script may make other nodes as well, which nobody makes then. */
static void push_instead_of_hook(const struct nvl_root *root, const struct nvl_resolved *resolved,
                                 const char *value, struct nvl_strv *instead)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0}, lost = {0};

    nvl_hook_nodes(root, value, &paths);
    for (size_t i = 0; i < paths.count; i++)
        if (!is_brought(resolved, paths.items[i]) && !is_folder_of(paths.items[i], &paths))
            nvl_strv_push(&lost, paths.items[i]);
    nvl_autofree char *list = nvl_strv_join(&lost, ", ");
    nvl_strv_pushf(instead, "nvlxc's start hook%s%s%s", lost.count > 0 ? "; nothing makes " : "", list,
                   lost.count > 0 ? " then: give it a hook of its own" : "");
}

static const char *instead_of(const struct nvl_grant *grant, const struct nvl_resolved *resolved,
                              bool has_rules, const char *key, const char *value)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv nodes = {0};

    if (strcmp(key, NVL_KEY_ENVIRONMENT) == 0)
        return "the variables of the grant";
    if (nvl_has_prefix(key, "lxc.cgroup"))
        return has_rules                                ? "rules by path"
               : grant->delivery.nodes == NVL_NODES_DEV ? "Proxmox's rules for dev[n]"
                                                        : "nothing: without such rules no device is denied";
    nvl_setting_nodes(key, value, &nodes);
    return nodes.count > 0 ? instead_of_node(grant, resolved, nodes.items[0]) : instead_of_file(grant);
}

void nvl_replaced_list(const struct nvl_root *root, const struct nvl_effective *effective,
                       const struct nvl_grant *grant, const struct nvl_resolved *resolved, bool has_rules,
                       struct nvl_strv *lines, struct nvl_strv *instead)
{
    nvl_effective_by_hand(effective, lines);
    for (size_t i = 0; i < effective->count; i++) {
        const struct nvl_setting *s = &effective->items[i];
        if (s->owner != NVL_OWNER_BY_HAND)
            continue;
        if (nvl_has_prefix(s->key, "lxc.hook."))
            push_instead_of_hook(root, resolved, s->value, instead);
        else
            nvl_strv_push(instead, instead_of(grant, resolved, has_rules, s->key, s->value));
    }
    nvl_config_stray_lines(effective->config, lines);
    while (instead->count < lines->count)
        nvl_strv_push(instead, "nothing: it has no effect there");
}
