/* A grant resolved against the host at this moment: which GPUs and MIG devices it names, which device nodes
 * they need, and what it names in vain. Pure: it reads nothing but the nvl_host that it is given. */
#pragma once

#include "grant/grant.h"
#include "host/host.h"

struct nvl_resolved_gpu {
    const struct nvl_gpu *gpu; /* in host->gpus */
    const struct nvl_mig *mig; /* one MIG device of it, or NULL for the whole GPU */
};

struct nvl_resolved {
    struct nvl_resolved_gpu *gpus;
    size_t n_gpus;
    struct nvl_node *nodes; /* each once: GPUs', then nvidiactl, uvm, …; not looked at yet (nvl_node_check) */
    size_t n_nodes;
    struct nvl_strv missing; /* one line for each selector that names nothing that can be used here */
};

/* Nodes by capability: always nvidiaN and nvidiactl; uvm and uvm-tools for all but utility, display and
 * compat32 alone; modeset, card and render for graphics and display; the GI's and CI's cap nodes for a MIG
 * device, and of all its MIG devices for a GPU that is granted as a whole. VOID has none; NONE has those that
 * are no GPU's. A GPU is there once, by whatever selectors; `missing` has a line too where ALL finds no GPU.
 */
void nvl_grant_resolve(const struct nvl_grant *grant, const struct nvl_host *host,
                       struct nvl_resolved *resolved);
/* The GPU that a selector names, or whose MIG device, whether it can be given or not; NULL where there is
 * none. A MIG UUID names none: NVML alone knows it. */
const struct nvl_gpu *nvl_find_selected(const struct nvl_gpus *gpus, const struct nvl_selector *selector);
/* How deep nvl_host_read must go for this grant. */
enum nvl_gpus_depth nvl_grant_depth(const struct nvl_grant *grant);
void nvl_resolved_clear(struct nvl_resolved *resolved);

/* One line. `gpu` is the one that the selector names, where there is one that cannot be used, or that has not
 * the MIG device; else NULL. */
void nvl_missing_selector(struct nvl_strv *missing, const struct nvl_host *host,
                          const struct nvl_selector *selector, const struct nvl_gpu *gpu);
/* One line for "all" on a host without a GPU. */
void nvl_missing_all(struct nvl_strv *missing, const struct nvl_host *host);
