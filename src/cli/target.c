/* The container that a command works on. */
#include "cli/target.h"

#include "plan/diff.h"

int nvl_target_open(const struct nvl_context *ctx, const char *name, struct nvl_target *target,
                    struct nvl_error *err)
{
    *target = (struct nvl_target){0};
    int r = nvl_containers_find(&ctx->root, false, &target->containers, err);
    if (r < 0)
        return r;
    r = nvl_container_by_name(&target->containers, name, &target->container, err);
    if (r < 0)
        return r;
    target->name = nvl_container_full_name(&target->containers, target->container);
    return nvl_container_read_config(&ctx->root, target->container, &target->config, err);
}

void nvl_target_close(struct nvl_target *target)
{
    nvl_config_clear(&target->config);
    free(target->name);
    free(target->container);
    nvl_containers_clear(&target->containers);
    *target = (struct nvl_target){0};
}

char *nvl_target_diff(const struct nvl_target *target, const struct nvl_plan *plan)
{
    struct nvl_buf b = {0};
    const char *path = target->container->config_path;
    nvl_autofree char *old_name = nvl_xasprintf("a%s", path), *new_name = nvl_xasprintf("b%s", path);

    nvl_diff(&b, old_name, target->config.text, target->config.len, new_name, plan->text, plan->len);
    return nvl_buf_take(&b);
}

char *nvl_container_kind_text(const struct nvl_container *c)
{
    if (c->kind == NVL_CONTAINER_PVE)
        return nvl_xstrdup("Proxmox CT");
    return c->user != NULL ? nvl_xasprintf("LXC of %s", c->user) : nvl_xstrdup("LXC");
}

const char *nvl_container_kind_name(const struct nvl_container *c)
{
    return c->kind == NVL_CONTAINER_PVE ? "pve" : "lxc";
}
