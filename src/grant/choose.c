/* Chooses the GPU of this host for an open selector, and says why there is none. */
#include "grant/choose.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "host/gpu_state.h"
#include "host/pci.h"
#include "host/pci_mappings.h"

bool nvl_is_model_of(const struct nvl_gpu *gpu, const struct nvl_selector *selector)
{
    const char *words = nvl_selector_name(selector);
    size_t len = strlen(words);

    for (const char *at = gpu->model; (at = strcasestr(at, words)) != NULL; at++)
        if ((at == gpu->model || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[len]))
            return true;
    return false;
}

/* ---- mappings ---- */

/* The addresses of the mapping that have what it says, or why one has not. */
struct mapped {
    struct nvl_strv addresses, why;
};

static void mapped_clear(struct mapped *mapped)
{
    nvl_strv_clear(&mapped->addresses);
    nvl_strv_clear(&mapped->why);
}

/* Of another node only its GPUs are known, and not always their numbers (0). */
static bool identify(const struct nvl_host *host, const char *pci, struct nvl_pci_identity *id)
{
    if (host->node == NULL)
        return nvl_pci_identify(host->root, pci, id);
    const struct nvl_gpu *gpu = nvl_gpu_by_pci(&host->gpus, pci);
    *id = (struct nvl_pci_identity){.vendor = NVL_VENDOR_NVIDIA, .device = gpu != NULL ? gpu->pci_device : 0};
    return gpu != NULL;
}

/* Proxmox compares the id with that of the first address, and does not use what differs. Source:
 * PVE::Mapping::PCI::assert_valid. */
static bool is_as_mapped(const struct nvl_host *host, const struct nvl_pci_map *map, struct mapped *mapped)
{
    const char *first = map->addresses.items[0];
    nvl_autofree char *pci = nvl_xasprintf("%s%s", first, strchr(first, '.') != NULL ? "" : ".0");
    struct nvl_pci_identity id;

    if (!identify(host, pci, &id)) {
        nvl_strv_pushf(&mapped->why, "no device is at %s", first);
        return false;
    }
    nvl_autofree char *is = nvl_xasprintf("%04x:%04x", id.vendor, id.device);
    if (map->id != NULL && id.device != 0 && strcasecmp(map->id, is) != 0)
        nvl_strv_pushf(&mapped->why, "the device at %s is %s, and the mapping says %.20s", first, is,
                       map->id);
    else if (id.vendor != NVL_VENDOR_NVIDIA)
        nvl_strv_pushf(&mapped->why, "the device at %s (%s) is not NVIDIA's", first, is);
    else
        return true;
    return false;
}

static void find_mapped(const struct nvl_host *host, const char *name, struct mapped *mapped)
{
    nvl_auto(nvl_pci_mappings_clear) struct nvl_pci_mappings mappings = {0};
    nvl_auto(nvl_pci_maps_clear) struct nvl_pci_maps maps = {0};

    if (host->root == NULL)
        return;
    nvl_pci_mappings_read(host->root, host->mappings, host->node, &mappings);
    if (mappings.code < 0 && (mappings.code != -ENOENT || host->mappings != NULL))
        nvl_strv_pushf(&mapped->why, "%s: %s",
                       host->mappings != NULL ? "its pre-start hook left no word of it" : NVL_PCI_MAPPINGS,
                       strerror(-mappings.code));
    else if (mappings.code < 0)
        nvl_strv_push(&mapped->why, "this host has no mappings of PCI devices from Proxmox");
    else if (!nvl_pci_mapping_find(&mappings, name, &maps))
        nvl_strv_push(&mapped->why, "Proxmox has no mapping of PCI devices with this name");
    else if (maps.count == 0)
        nvl_strv_pushf(&mapped->why, "the mapping has no device of this node%s%s",
                       mappings.node != NULL ? ", " : "", mappings.node != NULL ? mappings.node : "");
    for (size_t i = 0; i < maps.count; i++)
        for (size_t k = 0; k < maps.items[i].addresses.count; k++)
            if (k > 0 || is_as_mapped(host, &maps.items[i], mapped))
                nvl_strv_push_once(&mapped->addresses, maps.items[i].addresses.items[k]);
            else
                break;
}

static bool is_mapped(const struct mapped *mapped, const struct nvl_gpu *gpu)
{
    for (size_t i = 0; i < mapped->addresses.count; i++)
        if (nvl_pci_address_is(mapped->addresses.items[i], gpu->pci))
            return true;
    return false;
}

/* ---- the choice ---- */

static bool fits(const struct nvl_selector *selector, const struct mapped *mapped, const struct nvl_gpu *gpu)
{
    if (nvl_gpu_state(gpu) == NVL_GPU_IS_VIRTUAL)
        return false;
    return selector->kind == NVL_SELECT_MAPPING ? is_mapped(mapped, gpu)
           : selector->kind == NVL_SELECT_MODEL ? nvl_is_model_of(gpu, selector)
                                                : true;
}

static bool is_taken(const struct nvl_resolved *resolved, const struct nvl_gpu *gpu)
{
    for (size_t i = 0; i < resolved->n_gpus; i++)
        if (resolved->gpus[i].gpu == gpu)
            return true;
    return false;
}

/* Why this GPU, which fits, is not chosen; NULL if it may be. The caller frees. */
static char *why_not_this(const struct nvl_resolved *resolved, const struct nvl_gpu *gpu)
{
    char *why = nvl_gpu_why_not(gpu);

    if (why != NULL)
        return why;
    if (is_taken(resolved, gpu))
        return nvl_xasprintf("GPU %d is in the grant already", gpu->index);
    if (nvl_gpu_state(gpu) == NVL_GPU_IS_LOST)
        return nvl_xasprintf("GPU %d has fallen off the bus", gpu->index);
    if (gpu->mig_enabled)
        return nvl_xasprintf("GPU %d is in MIG mode", gpu->index);
    return NULL;
}

/* "NVIDIA GeForce RTX 3090, NVIDIA A100-SXM4-40GB"; NULL for none. The caller frees. */
static char *models_here(const struct nvl_host *host)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv models = {0};

    for (size_t i = 0; i < host->gpus.count; i++)
        if (host->gpus.items[i].model[0] != '\0')
            nvl_strv_push_once(&models, host->gpus.items[i].model);
    return models.count > 0 ? nvl_strv_join(&models, ", ") : NULL;
}

static void say_why(const struct nvl_host *host, const struct nvl_selector *selector,
                    const struct mapped *mapped, const struct nvl_strv *reasons, struct nvl_strv *missing)
{
    nvl_autofree char *why = nvl_strv_join(reasons, "; "), *first = nvl_strv_join(&mapped->why, "; "),
                      *models = models_here(host);
    bool both = reasons->count > 0 && mapped->why.count > 0;

    if (reasons->count + mapped->why.count > 0)
        nvl_strv_pushf(missing, "%s gives no GPU on this host: %s%s%s", selector->text, first,
                       both ? "; " : "", why);
    else if (selector->kind == NVL_SELECT_MODEL && models != NULL)
        nvl_strv_pushf(missing, "%s gives no GPU on this host: it has %s", selector->text, models);
    else if (selector->kind == NVL_SELECT_MAPPING && mapped->addresses.count > 0)
        nvl_strv_pushf(missing, "%s gives no GPU on this host: %s is not a GPU", selector->text,
                       mapped->addresses.items[0]);
    else
        nvl_strv_pushf(missing, "%s gives no GPU on this host: %s", selector->text,
                       host->driver.loaded ? "the nvidia driver has none here"
                                           : "the nvidia driver is not loaded");
}

bool nvl_is_choice(const struct nvl_host *host, const struct nvl_selector *selector,
                   const struct nvl_gpu *gpu)
{
    nvl_auto(mapped_clear) struct mapped mapped = {0};
    const struct nvl_resolved none = {0};

    if (selector->kind == NVL_SELECT_MAPPING)
        find_mapped(host, nvl_selector_name(selector), &mapped);
    nvl_autofree char *why = why_not_this(&none, gpu);
    return why == NULL && fits(selector, &mapped, gpu);
}

const struct nvl_gpu *nvl_choose_gpu_for(const struct nvl_host *host, const struct nvl_selector *selector,
                                         const bool *has, const struct nvl_resolved *resolved,
                                         struct nvl_strv *missing)
{
    nvl_auto(mapped_clear) struct mapped mapped = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv reasons = {0};
    const struct nvl_gpu *best = NULL;
    int best_rank = 0;

    if (selector->kind == NVL_SELECT_MAPPING)
        find_mapped(host, nvl_selector_name(selector), &mapped);
    for (size_t i = 0; i < host->gpus.count; i++) {
        const struct nvl_gpu *gpu = &host->gpus.items[i];
        int rank = 1 + (gpu->uuid[0] != '\0') + (has != NULL && has[i] ? 2 : 0);
        if (!fits(selector, &mapped, gpu))
            continue;
        nvl_autofree char *why = why_not_this(resolved, gpu);
        if (why != NULL) {
            nvl_strv_push(&reasons, why);
        } else if (rank > best_rank) {
            best = gpu;
            best_rank = rank;
        }
    }
    if (best == NULL)
        say_why(host, selector, &mapped, &reasons, missing);
    return best;
}
