/* The container that a command works on. */
#include "container/target.h"

#include "container/daemon.h"
#include "container/instance.h"

int nvl_target_open(const struct nvl_root *root, const char *name, struct nvl_target *target,
                    struct nvl_error *err)
{
    *target = (struct nvl_target){0};
    int r = nvl_containers_find(root, false, &target->containers, err);
    if (r < 0)
        return r;
    r = nvl_container_by_name(root, &target->containers, name, &target->container, err);
    if (r < 0)
        return r;
    target->name = nvl_container_full_name(&target->containers, target->container);
    target->word = nvl_shell_word(target->name);
    r = nvl_container_read_config(root, target->container, &target->config, err);
    if (r == 0)
        nvl_effective_read(root, target->container, &target->config, &target->effective, &target->incomplete);
    return r;
}

void nvl_target_close(struct nvl_target *target)
{
    nvl_effective_clear(&target->effective);
    nvl_config_clear(&target->config);
    free(target->name);
    free(target->word);
    free(target->container);
    nvl_containers_clear(&target->containers);
    *target = (struct nvl_target){0};
}

char *nvl_container_kind_text(const struct nvl_container *c)
{
    if (c->kind == NVL_CONTAINER_PVE)
        return nvl_xstrdup("Proxmox CT");
    if (c->kind == NVL_CONTAINER_DAEMON)
        return nvl_xstrdup(c->instance->daemon->title);
    return c->user != NULL ? nvl_xasprintf("LXC of %s", c->user) : nvl_xstrdup("LXC");
}

const char *nvl_container_kind_name(const struct nvl_container *c)
{
    if (c->kind == NVL_CONTAINER_DAEMON)
        return c->instance->daemon->name;
    return c->kind == NVL_CONTAINER_PVE ? "pve" : "lxc";
}
