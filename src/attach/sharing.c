/* Several containers and one GPU. */
#include "attach/sharing.h"

#include <errno.h>

#include "attach/adopt.h"

/* A whole GPU brings all its MIG devices. */
static bool overlaps(const struct nvl_resolved_gpu *a, const struct nvl_resolved_gpu *b)
{
    return a->gpu == b->gpu && (a->mig == NULL || b->mig == NULL || a->mig == b->mig);
}

static const struct nvl_resolved_gpu *shared_gpu(const struct nvl_resolved *resolved,
                                                 const struct nvl_holding *other)
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

/* Of a config that cannot be read it is not known what it gives: for a promise that is too little. */
static int refuse_unknown(const struct nvl_error *why, struct nvl_error *err)
{
    nvl_error_set(err, -EBUSY, "--exclusive: which GPUs another container has is not known: %s",
                  why->message);
    nvl_error_hint(err, "%s",
                   why->hint[0] != '\0' ? why->hint : "mend that config, or leave --exclusive out");
    return -EBUSY;
}

int nvl_sharing_check(const struct nvl_target *target, const struct nvl_host *host,
                      const struct nvl_grant *grant, const struct nvl_resolved *resolved,
                      struct nvl_strv *warnings, struct nvl_error *err)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) holders = {0};
    nvl_autofree char *first = NULL;
    struct nvl_error why = {0};

    for (size_t i = 0; i < target->containers.count; i++) {
        nvl_autofree struct nvl_container *c = nvl_container_at(&target->containers, i);
        struct nvl_holding nvl_auto(nvl_holding_clear) other = {0};
        if (strcmp(c->config_path, target->container->config_path) == 0 || c->node != NULL)
            continue;
        int r = nvl_holding_read(c, host, &other, &why);
        if (r < 0 && grant->delivery.exclusive)
            return refuse_unknown(&why, err);
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
