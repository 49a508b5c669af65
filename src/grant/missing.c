/* The sentences about what is missing: what the grant names, that it is not here, and what is here instead,
 * so that the user sees at once whether the name is wrong, the card is gone, or something else holds it. */
#include "grant/missing.h"

#include <stdio.h>

#include "host/gpu_state.h"

/* "0 and 1", "0, 1 and 2": items that are joined for people. */
static char *join(const struct nvl_strv *items)
{
    struct nvl_buf b = {0};

    for (size_t i = 0; i < items->count; i++)
        nvl_buf_addf(&b, "%s%s", i == 0 ? "" : i + 1 == items->count ? " and " : ", ", items->items[i]);
    return nvl_buf_take(&b);
}

/* "GPU 0", or by its address where nvidia does not count it. */
static void name_gpu(const struct nvl_gpu *gpu, char *name, size_t size)
{
    if (gpu->index >= 0)
        snprintf(name, size, "GPU %d", gpu->index);
    else
        snprintf(name, size, "the GPU at %s", gpu->pci);
}

/* What this host has: "it has GPUs 0 and 1", with a word on each GPU that cannot be used. */
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

/* A GPU that was not used since boot has no UUID yet, and one that does not come up never will: it may well
 * be the one that is looked for. */
static char *who_has_no_uuid(const struct nvl_host *host)
{
    for (size_t i = 0; i < host->gpus.count; i++) {
        const struct nvl_gpu *gpu = &host->gpus.items[i];
        enum nvl_gpu_state state = nvl_gpu_state(gpu);
        char name[64];
        name_gpu(gpu, name, sizeof name);
        if (state == NVL_GPU_IS_UNUSED)
            return nvl_xasprintf(
                "; %s does not say its UUID before its first use: run nvidia-smi on the host", name);
        if (state == NVL_GPU_IS_SILENT)
            return nvl_xasprintf("; %s was used and says no UUID: it does not come up, see the kernel log",
                                 name);
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
            "%s is known to NVML alone: 'nvlxc attach' turns it into MIG-GPU-…/GI/CI, the form that "
            "can be resolved at each start",
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
