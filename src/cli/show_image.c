/* What `show` says of the container's own side: whether its programs find the driver by the library path that
 * an image brings, and whether anyone in it may open the graphics nodes. Neither is a fault of the grant. */
#include "base/paths.h"
#include "cli/show.h"
#include "container/idmap.h"
#include "container/rootfs_path.h"

/* The host's owner and group alone may open them, and an unprivileged container has neither. NVIDIA's own
 * nodes have the mode that the driver is told; these have udev's. */
static void find_closed_nodes(struct nvl_shown *s)
{
    for (size_t i = 0; i < s->resolved.n_nodes; i++) {
        const struct nvl_node *node = &s->resolved.nodes[i];
        if (node->kind == NVL_NODE_DRI && node->state == NVL_NODE_OK && (node->found_mode & 0006) != 0006)
            nvl_strv_push(&s->closed, node->path);
    }
}

void nvl_shown_look_inside(const struct nvl_context *ctx, struct nvl_shown *s)
{
    nvl_auto(nvl_root_close) struct nvl_root rootfs = NVL_ROOT_NONE;
    const struct nvl_config *config = &s->target.config;
    const struct nvl_container *c = s->target.container;
    nvl_autofree char *why = NULL;
    struct nvl_idmap map;

    if (nvl_idmap_read(&ctx->root, c, config, &map, NULL) < 0)
        return;
    /* the start hook of root's containers, and Proxmox's dev[n] entries, bring nodes of the container's own
     */
    if (c->user != NULL ? s->grant.delivery.nodes != NVL_NODES_DEV
                        : !map.privileged && s->grant.delivery.nodes == NVL_NODES_STATIC)
        find_closed_nodes(s);
    s->has_rootfs = nvl_container_open_rootfs(&ctx->root, c, config, &map, &rootfs, &why) == 0;
    if (s->grant.delivery.libraries == NVL_LIBRARIES_BUNDLE)
        nvl_library_path_read(config, s->has_rootfs ? &rootfs : NULL, &s->library_path);
}

/* NULL where the linker leads to the driver, and nothing else is set. */
static const char *library_path_text(const struct nvl_shown *s)
{
    const struct nvl_library_path *path = &s->library_path;

    if (path->state == NVL_LIBRARY_PATH_FINDS)
        return "its LD_LIBRARY_PATH names " NVL_MOUNT_POINT "/lib64";
    if (path->state == NVL_LIBRARY_PATH_OTHERS && path->has_linker)
        return "its LD_LIBRARY_PATH does not name " NVL_MOUNT_POINT "/lib64, its linker's configuration does";
    if (path->state == NVL_LIBRARY_PATH_OTHERS && !s->has_rootfs)
        return "its LD_LIBRARY_PATH does not name " NVL_MOUNT_POINT
               "/lib64: unless its linker's configuration does, its programs do not find the driver";
    if (s->has_rootfs && !path->has_linker)
        return "neither LD_LIBRARY_PATH nor a linker's configuration leads its programs to the driver: add "
               "LD_LIBRARY_PATH=" NVL_MOUNT_POINT "/lib64 to its environment";
    return NULL;
}

void nvl_shown_say_inside(const struct nvl_context *ctx, const struct nvl_shown *s)
{
    nvl_autofree char *closed = nvl_strv_join(&s->closed, ", ");
    const char *text = s->grant.delivery.libraries == NVL_LIBRARIES_BUNDLE ? library_path_text(s) : NULL;

    if (text != NULL)
        nvl_say(ctx, "image:   %s", text);
    if (s->library_path.shadowed != NULL)
        nvl_say(ctx, "image:   its LD_LIBRARY_PATH leads to its own %s before the driver's",
                s->library_path.shadowed);
    if (s->closed.count > 0)
        nvl_say(
            ctx,
            "closed:  %s: open to an owner and a group of the host alone, not to an unprivileged container "
            "(`nvlxc doctor %s`%s)",
            closed, s->target.name,
            s->target.container->user == NULL ? "; `attach --nodes hook` gives it nodes of its own" : "");
}

json_t *nvl_shown_json_library_path(const struct nvl_shown *s)
{
    const struct nvl_library_path *path = &s->library_path;

    if (!s->granted || s->grant.delivery.libraries != NVL_LIBRARIES_BUNDLE)
        return json_null();
    return json_pack("{s:o,s:b,s:o,s:o}", "value", nvl_json_string(path->value), "finds_bundle",
                     (int)(path->state == NVL_LIBRARY_PATH_FINDS), "linker",
                     s->has_rootfs ? json_boolean(path->has_linker) : json_null(), "shadowed",
                     nvl_json_string(path->shadowed));
}
