/* What `attach` decides of a grant whose GPUs each start chooses: whether the container can have one, and
 * what its device list needs. */
#include "attach/request.h"

#include "base/error.h"
#include "container/list.h"
#include "grant/choose.h"

static const struct nvl_selector *first_open(const struct nvl_grant *grant)
{
    for (size_t i = 0; i < grant->n_selectors; i++)
        if (nvl_selector_is_open(&grant->selectors[i]))
            return &grant->selectors[i];
    return NULL;
}

static const struct nvl_selector *first_mapping(const struct nvl_grant *grant)
{
    for (size_t i = 0; i < grant->n_selectors; i++)
        if (grant->selectors[i].kind == NVL_SELECT_MAPPING)
            return &grant->selectors[i];
    return NULL;
}

int nvl_open_check(const struct nvl_container *c, const struct nvl_grant *grant, struct nvl_error *err)
{
    const struct nvl_selector *open = first_open(grant), *mapping = first_mapping(grant);
    int r = 0;

    if (open != NULL && grant->delivery.nodes != NVL_NODES_HOOK) {
        r = nvl_error_usage(
            err, "--nodes %s names the nodes of today, and each start decides what --gpu '%s' gives",
            nvl_nodes_mode_name(grant->delivery.nodes), open->text);
        nvl_error_hint(err, "leave --nodes out: the start hook binds the nodes");
    } else if (mapping != NULL && c->user != NULL) {
        r = nvl_error_usage(
            err, "--gpu %s is for containers of root: those of a user cannot read Proxmox's mappings",
            mapping->text);
        nvl_error_hint(err, "--gpu any, or --gpu model:TEXT");
    }
    return r;
}

static bool is_choice_of(const struct nvl_host *host, const struct nvl_grant *grant,
                         const struct nvl_gpu *gpu)
{
    for (size_t i = 0; i < grant->n_selectors; i++)
        if (nvl_selector_is_open(&grant->selectors[i]) && nvl_is_choice(host, &grant->selectors[i], gpu))
            return true;
    return false;
}

void nvl_open_resolve_wide(const struct nvl_grant *grant, const struct nvl_host *host,
                           struct nvl_resolved *resolved)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant wide = {.devices = grant->devices,
                                                       .capabilities = grant->capabilities};

    for (size_t i = 0; i < grant->n_selectors; i++)
        if (!nvl_selector_is_open(&grant->selectors[i]))
            *NVL_APPEND(wide.selectors, wide.n_selectors) = grant->selectors[i];
    for (size_t i = 0; i < host->gpus.count; i++)
        if (is_choice_of(host, grant, &host->gpus.items[i]))
            nvl_selector_parse(host->gpus.items[i].pci, NVL_APPEND(wide.selectors, wide.n_selectors), NULL);
    nvl_grant_resolve(&wide, host, resolved);
}
