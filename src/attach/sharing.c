/* Several containers and one GPU. */
#include "attach/sharing.h"

#include <errno.h>

#include "attach/adopt.h"

/* What another container has of this host's GPUs. */
struct other {
    bool is_exclusive;
    struct nvl_resolved resolved;
};

static void other_clear(struct other *other)
{
    nvl_resolved_clear(&other->resolved);
}

/* A config that cannot be read or understood gives nothing here; `list` and `gpus` say so. */
static void read_other(const struct nvl_root *root, const struct nvl_container *c,
                       const struct nvl_host *host, struct other *other)
{
    struct nvl_config nvl_auto(nvl_config_clear) config = {0};
    struct nvl_grant nvl_auto(nvl_grant_clear) grant = {0};

    *other = (struct other){0};
    if (nvl_container_read_config(root, c, &config, NULL) < 0)
        return;
    int r = nvl_config_grant(&config, &grant, NULL);
    if (r < 0)
        return;
    if (r == 0)
        nvl_adopt_gpus(&config, host, &grant, NULL);
    if (r == 0 && grant.devices == NVL_DEVICES_LIST && grant.n_selectors == 0)
        return;
    other->is_exclusive = grant.delivery.exclusive;
    nvl_grant_resolve(&grant, host, &other->resolved);
}

/* A whole GPU brings all its MIG devices. */
static bool overlaps(const struct nvl_resolved_gpu *a, const struct nvl_resolved_gpu *b)
{
    return a->gpu == b->gpu && (a->mig == NULL || b->mig == NULL || a->mig == b->mig);
}

static const struct nvl_resolved_gpu *shared_gpu(const struct nvl_resolved *resolved,
                                                 const struct other *other)
{
    for (size_t i = 0; i < resolved->n_gpus; i++)
        for (size_t k = 0; k < other->resolved.n_gpus; k++)
            if (overlaps(&resolved->gpus[i], &other->resolved.gpus[k]))
                return &resolved->gpus[i];
    return NULL;
}

static char *gpu_text(const struct nvl_resolved_gpu *g)
{
    nvl_autofree char *text = nvl_gpu_text(g->gpu);

    return g->mig != NULL ? nvl_xasprintf("MIG device %u/%u of %s", g->mig->gi, g->mig->ci, text)
                          : TAKE_PTR(text);
}

static int refuse(const struct nvl_strv *holders, const char *gpu, struct nvl_error *err)
{
    nvl_autofree char *names = nvl_strv_join(holders, ", ");

    nvl_error_set(err, -EBUSY, "--exclusive: %s is already given to %s", gpu, names);
    nvl_error_hint(err,
                   "take it from there first (`nvlxc show %s` says by which lines it has it), or leave "
                   "--exclusive out: several containers can share a GPU",
                   holders->items[0]);
    return -EBUSY;
}

int nvl_sharing_check(const struct nvl_root *root, const struct nvl_target *target,
                      const struct nvl_host *host, const struct nvl_grant *grant,
                      const struct nvl_resolved *resolved, struct nvl_strv *warnings, struct nvl_error *err)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) holders = {0};
    nvl_autofree char *first = NULL;

    for (size_t i = 0; i < target->containers.count; i++) {
        nvl_autofree struct nvl_container *c = nvl_container_at(&target->containers, i);
        struct other nvl_auto(other_clear) other = {0};
        if (strcmp(c->config_path, target->container->config_path) == 0 || c->node != NULL)
            continue;
        read_other(root, c, host, &other);
        const struct nvl_resolved_gpu *shared = shared_gpu(resolved, &other);
        if (shared == NULL)
            continue;
        nvl_autofree char *name = nvl_container_full_name(&target->containers, c);
        nvl_autofree char *gpu = gpu_text(shared);
        nvl_strv_push(&holders, name);
        if (other.is_exclusive)
            nvl_strv_pushf(warnings, "%s was given to %s alone (--exclusive)", gpu, name);
        if (first == NULL)
            first = TAKE_PTR(gpu);
    }
    return grant->delivery.exclusive && holders.count > 0 ? refuse(&holders, first, err) : 0;
}
