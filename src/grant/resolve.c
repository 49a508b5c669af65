/* Resolves a grant on this host at this moment: its GPUs and the nodes that they need. What it names in vain
 * is said in words. */
#include "grant/resolve.h"

#include <stdio.h>

#include "grant/choose.h"
#include "host/gpu_state.h"

/* ---- what is missing, in words ---- */

/* "0 and 1", "0, 1 and 2": joins items for people. */
static char *join(const struct nvl_strv *items)
{
    struct nvl_buf b = {0};

    for (size_t i = 0; i < items->count; i++)
        nvl_buf_addf(&b, "%s%s", i == 0 ? "" : i + 1 == items->count ? " and " : ", ", items->items[i]);
    return nvl_buf_take(&b);
}

/* "GPU 0", or its address if nvidia does not count it. */
static void name_gpu(const struct nvl_gpu *gpu, char *name, size_t size)
{
    if (gpu->index >= 0)
        snprintf(name, size, "GPU %d", gpu->index);
    else
        snprintf(name, size, "the GPU at %s", gpu->pci);
}

/* What this host has: "it has GPUs 0 and 1", with a remark on each GPU that cannot be used. */
static char *what_is_here(const struct nvl_host *host)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv indexes = {0}, reasons = {0};

    for (size_t i = 0; i < host->gpus.count; i++) {
        const struct nvl_gpu *gpu = &host->gpus.items[i];
        nvl_autofree char *why = nvl_gpu_why_not(gpu);
        if (nvl_gpu_state(gpu) == NVL_GPU_IS_VIRTUAL)
            continue; /* a card has dozens, and nobody looks for one */
        if (why != NULL)
            nvl_strv_push(&reasons, why);
        else if (gpu->index >= 0)
            nvl_strv_pushf(&indexes, "%d", gpu->index);
    }
    nvl_autofree char *here = join(&indexes), *other = nvl_strv_join(&reasons, "; ");
    const char *between = reasons.count > 0 ? "; " : "";

    if (indexes.count > 0)
        return nvl_xasprintf("it has GPU%s %s%s%s", indexes.count > 1 ? "s" : "", here, between, other);
    if (reasons.count > 0)
        return nvl_xstrdup(other);
    return nvl_xstrdup(host->driver.loaded ? "the nvidia driver has no GPU here"
                                           : "the nvidia driver is not loaded");
}

/* A GPU that was not used since boot has no UUID yet, and one that does not come up never gets one: either
 * may be the GPU that the grant means. */
static char *who_has_no_uuid(const struct nvl_host *host)
{
    for (size_t i = 0; i < host->gpus.count; i++) {
        const struct nvl_gpu *gpu = &host->gpus.items[i];
        enum nvl_gpu_state state = nvl_gpu_state(gpu);
        char name[64];
        name_gpu(gpu, name, sizeof name);
        if (state == NVL_GPU_IS_UNUSED)
            return nvl_xasprintf("; %s has no UUID before its first use: run nvidia-smi on the host", name);
        if (state == NVL_GPU_IS_SILENT)
            return nvl_xasprintf(
                "; %s has no UUID although it was used: it does not come up, see the kernel log", name);
        if (state == NVL_GPU_IS_LOST && gpu->uuid[0] == '\0')
            return nvl_xasprintf("; %s has fallen off the bus", name);
    }
    return nvl_xstrdup("");
}

static void add_unknown_mig(struct nvl_strv *missing, const struct nvl_selector *selector,
                            const struct nvl_gpu *gpu)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv instances = {0};
    char name[64];

    name_gpu(gpu, name, sizeof name);
    for (size_t i = 0; i < gpu->n_migs; i++)
        nvl_strv_pushf(&instances, "%u/%u", gpu->migs[i].gi, gpu->migs[i].ci);
    nvl_autofree char *list = join(&instances);
    if (instances.count > 0)
        nvl_strv_pushf(missing, "%s is not on this host: %s has the MIG device%s %s", selector->text, name,
                       instances.count > 1 ? "s" : "", list);
    else
        nvl_strv_pushf(missing, "%s is not on this host: %s has no MIG device%s", selector->text, name,
                       gpu->mig_enabled ? "" : ", MIG is off");
}

void nvl_missing_selector(struct nvl_strv *missing, const struct nvl_host *host,
                          const struct nvl_selector *selector, const struct nvl_gpu *gpu)
{
    nvl_autofree char *why = gpu != NULL ? nvl_gpu_why_not(gpu) : NULL;
    nvl_autofree char *here = what_is_here(host);
    nvl_autofree char *silent = who_has_no_uuid(host);
    const char *text = selector->text;

    if (selector->kind == NVL_SELECT_MIG_UUID)
        nvl_strv_pushf(
            missing,
            "only NVML knows %s: 'nvlxc attach' turns it into MIG-GPU-…/GI/CI, the form that resolves at "
            "each start",
            text);
    else if (why != NULL)
        nvl_strv_pushf(missing, "%s%s cannot be used: %s",
                       selector->kind == NVL_SELECT_INDEX || selector->kind == NVL_SELECT_PCI ? "GPU " : "",
                       text, why);
    else if (gpu != NULL)
        add_unknown_mig(missing, selector, gpu);
    else if (selector->kind == NVL_SELECT_INDEX || selector->kind == NVL_SELECT_PCI)
        nvl_strv_pushf(missing, "GPU %s is not on this host: %s", text, here);
    else
        nvl_strv_pushf(missing, "%s is not on this host: %s%s", text, here, silent);
}

void nvl_missing_all(struct nvl_strv *missing, const struct nvl_host *host)
{
    nvl_autofree char *here = what_is_here(host);

    nvl_strv_pushf(missing, "no GPU can be given on this host: %s", here);
}

/* ---- resolving ---- */

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
    case NVL_SELECT_MAPPING:
    case NVL_SELECT_MODEL:
    case NVL_SELECT_ANY:
        break;
    }
    return NULL;
}

bool nvl_grant_can_mean(const struct nvl_grant *grant, const struct nvl_gpus *gpus, const struct nvl_gpu *gpu)
{
    if (grant->devices == NVL_DEVICES_ALL)
        return true;
    for (size_t i = 0; i < grant->n_selectors; i++) {
        const struct nvl_selector *s = &grant->selectors[i];
        if (nvl_selector_is_open(s) && (s->kind != NVL_SELECT_MODEL || nvl_is_model_of(gpu, s)))
            return true;
        const struct nvl_gpu *selected = nvl_find_selected(gpus, s);
        bool has_place = s->kind == NVL_SELECT_INDEX || s->kind == NVL_SELECT_PCI || nvl_selector_is_open(s);
        if (selected == gpu || (selected == NULL && !has_place && gpu->uuid[0] == '\0'))
            return true;
    }
    return false;
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
    *NVL_APPEND(resolved->gpus, resolved->n_gpus) = (struct nvl_resolved_gpu){gpu, mig, -1};
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

/* Chooses one GPU for an open selector. */
static void add_chosen(struct nvl_resolved *resolved, const struct nvl_host *host,
                       const struct nvl_grant *grant, size_t selector, const bool *has)
{
    const struct nvl_gpu *gpu =
        nvl_choose_gpu_for(host, &grant->selectors[selector], has, resolved, &resolved->missing);

    if (gpu == NULL)
        resolved->n_unchosen++;
    else
        *NVL_APPEND(resolved->gpus, resolved->n_gpus) = (struct nvl_resolved_gpu){gpu, NULL, (int)selector};
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

void nvl_grant_resolve_running(const struct nvl_grant *grant, const struct nvl_host *host, const bool *has,
                               struct nvl_resolved *resolved)
{
    *resolved = (struct nvl_resolved){0};
    if (grant->devices == NVL_DEVICES_VOID)
        return;
    if (grant->devices == NVL_DEVICES_ALL)
        add_all(resolved, host);
    for (size_t i = 0; i < grant->n_selectors; i++)
        if (!nvl_selector_is_open(&grant->selectors[i]))
            add_selected(resolved, host, &grant->selectors[i]);
    for (size_t i = 0; i < grant->n_selectors; i++)
        if (nvl_selector_is_open(&grant->selectors[i]))
            add_chosen(resolved, host, grant, i, has);
    add_nodes(resolved, host, grant->capabilities);
}

void nvl_grant_resolve(const struct nvl_grant *grant, const struct nvl_host *host,
                       struct nvl_resolved *resolved)
{
    nvl_grant_resolve_running(grant, host, NULL, resolved);
}

enum nvl_gpus_depth nvl_grant_depth(const struct nvl_grant *grant)
{
    if (nvl_grant_is_open(grant))
        return NVL_GPUS_ALL; /* only sysfs tells which of several GPUs is lost, and what a mapping's is */
    return (grant->capabilities & NEEDS_DRI) != 0 ? NVL_GPUS_DRI : NVL_GPUS_PROC;
}

void nvl_resolved_clear(struct nvl_resolved *resolved)
{
    free(resolved->gpus);
    free(resolved->nodes);
    nvl_strv_clear(&resolved->missing);
    *resolved = (struct nvl_resolved){0};
}
