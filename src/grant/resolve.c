/* Who a grant means on this host at this moment, and which nodes that takes. What it names in vain is said in
 * words by missing.c. */
#include "grant/resolve.h"

#include "grant/missing.h"
#include "host/gpu_state.h"

#define NEEDS_NO_UVM ((unsigned)(NVL_CAP_UTILITY | NVL_CAP_DISPLAY | NVL_CAP_COMPAT32))
#define NEEDS_DRI    ((unsigned)(NVL_CAP_GRAPHICS | NVL_CAP_DISPLAY))

const struct nvl_gpu *nvl_find_selected(const struct nvl_gpus *gpus, const struct nvl_selector *selector)
{
    switch (selector->kind) {
    case NVL_SELECT_INDEX:
        return nvl_gpu_by_index(gpus, selector->index);
    case NVL_SELECT_UUID:
    case NVL_SELECT_MIG:
        return nvl_gpu_by_uuid(gpus, selector->gpu);
    case NVL_SELECT_PCI:
        return nvl_gpu_by_pci(gpus, selector->gpu);
    case NVL_SELECT_MIG_UUID:
        break;
    }
    return NULL;
}

static const struct nvl_mig *find_mig(const struct nvl_gpu *gpu, unsigned gi, unsigned ci)
{
    for (size_t i = 0; i < gpu->n_migs; i++)
        if (gpu->migs[i].gi == gi && gpu->migs[i].ci == ci)
            return &gpu->migs[i];
    return NULL;
}

static void add_gpu(struct nvl_resolved *resolved, const struct nvl_gpu *gpu, const struct nvl_mig *mig)
{
    for (size_t i = 0; i < resolved->n_gpus; i++)
        if (resolved->gpus[i].gpu == gpu && resolved->gpus[i].mig == mig)
            return;
    *NVL_APPEND(resolved->gpus, resolved->n_gpus) = (struct nvl_resolved_gpu){gpu, mig};
}

static void add_selected(struct nvl_resolved *resolved, const struct nvl_host *host,
                         const struct nvl_selector *selector)
{
    const struct nvl_gpu *gpu = nvl_find_selected(&host->gpus, selector);
    const struct nvl_mig *mig = NULL;

    if (gpu != NULL && selector->kind == NVL_SELECT_MIG)
        mig = find_mig(gpu, selector->gi, selector->ci);
    if (gpu == NULL || !nvl_gpu_can_be_given(gpu) || (selector->kind == NVL_SELECT_MIG && mig == NULL))
        nvl_missing_selector(&resolved->missing, host, selector, gpu);
    else
        add_gpu(resolved, gpu, mig);
}

static void add_all(struct nvl_resolved *resolved, const struct nvl_host *host)
{
    for (size_t i = 0; i < host->gpus.count; i++)
        if (nvl_gpu_can_be_given(&host->gpus.items[i]))
            add_gpu(resolved, &host->gpus.items[i], NULL);
    if (resolved->n_gpus == 0)
        nvl_missing_all(&resolved->missing, host);
}

static void add_node(struct nvl_resolved *resolved, const struct nvl_host *host, enum nvl_node_kind kind,
                     unsigned minor, bool render)
{
    struct nvl_node node = nvl_node_make(kind, minor, render, &host->majors, &host->params);

    for (size_t i = 0; i < resolved->n_nodes; i++)
        if (strcmp(resolved->nodes[i].path, node.path) == 0)
            return;
    *NVL_APPEND(resolved->nodes, resolved->n_nodes) = node;
}

static void add_mig_nodes(struct nvl_resolved *resolved, const struct nvl_host *host,
                          const struct nvl_mig *mig)
{
    add_node(resolved, host, NVL_NODE_CAP, mig->gi_minor, false);
    add_node(resolved, host, NVL_NODE_CAP, mig->ci_minor, false);
}

static void add_dri_nodes(struct nvl_resolved *resolved, const struct nvl_host *host,
                          const struct nvl_gpu *gpu)
{
    if (gpu->card >= 0)
        add_node(resolved, host, NVL_NODE_DRI, (unsigned)gpu->card, false);
    if (gpu->render >= 0)
        add_node(resolved, host, NVL_NODE_DRI, (unsigned)gpu->render, true);
}

static void add_nodes(struct nvl_resolved *resolved, const struct nvl_host *host, unsigned capabilities)
{
    for (size_t i = 0; i < resolved->n_gpus; i++)
        add_node(resolved, host, NVL_NODE_GPU, (unsigned)resolved->gpus[i].gpu->minor, false);
    add_node(resolved, host, NVL_NODE_CTL, 0, false);
    if ((capabilities & ~NEEDS_NO_UVM) != 0) {
        add_node(resolved, host, NVL_NODE_UVM, 0, false);
        add_node(resolved, host, NVL_NODE_UVM_TOOLS, 0, false);
    }
    if ((capabilities & NEEDS_DRI) != 0)
        add_node(resolved, host, NVL_NODE_MODESET, 0, false);
    for (size_t i = 0; i < resolved->n_gpus; i++) {
        const struct nvl_resolved_gpu *r = &resolved->gpus[i];
        if (r->mig != NULL)
            add_mig_nodes(resolved, host, r->mig);
        for (size_t m = 0; r->mig == NULL && m < r->gpu->n_migs; m++)
            add_mig_nodes(resolved, host, &r->gpu->migs[m]);
        if ((capabilities & NEEDS_DRI) != 0)
            add_dri_nodes(resolved, host, r->gpu);
    }
}

void nvl_grant_resolve(const struct nvl_grant *grant, const struct nvl_host *host,
                       struct nvl_resolved *resolved)
{
    *resolved = (struct nvl_resolved){0};
    if (grant->devices == NVL_DEVICES_VOID)
        return;
    if (grant->devices == NVL_DEVICES_ALL)
        add_all(resolved, host);
    for (size_t i = 0; i < grant->n_selectors; i++)
        add_selected(resolved, host, &grant->selectors[i]);
    add_nodes(resolved, host, grant->capabilities);
}

enum nvl_gpus_depth nvl_grant_depth(const struct nvl_grant *grant)
{
    return (grant->capabilities & NEEDS_DRI) != 0 ? NVL_GPUS_DRI : NVL_GPUS_PROC;
}

void nvl_resolved_clear(struct nvl_resolved *resolved)
{
    free(resolved->gpus);
    free(resolved->nodes);
    nvl_strv_clear(&resolved->missing);
    *resolved = (struct nvl_resolved){0};
}
