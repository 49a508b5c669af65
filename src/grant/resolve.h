/* A grant resolved against the host at this moment: its GPUs and MIG devices, the device nodes that they
 * need, and what it names in vain. It reads only the given nvl_host; for a mapping, also Proxmox's file and
 * what is at the addresses, by the host's root. */
#pragma once

#include "base/text.h"
#include "grant/grant.h"
#include "host/host.h"

struct nvl_resolved_gpu {
    const struct nvl_gpu *gpu; /* in host->gpus */
    const struct nvl_mig *mig; /* one MIG device of it, or NULL for the whole GPU */
    int selector; /* the open selector that it was chosen for, by its place in the grant; or -1 */
};

struct nvl_resolved {
    struct nvl_resolved_gpu *gpus;
    size_t n_gpus;
    struct nvl_node *nodes; /* each once: GPUs', then nvidiactl, uvm, …; not checked yet (nvl_node_check) */
    size_t n_nodes;
    struct nvl_strv missing; /* one line for each selector that matches nothing usable here */
    size_t n_unchosen;       /* of these, the last ones: for open selectors */
};

/* Nodes by capability: always nvidiaN and nvidiactl; uvm and uvm-tools unless only utility, display and
 * compat32 are granted; modeset, card and render for graphics and display; the GI's and CI's cap nodes for a
 * MIG device, and those of all MIG devices for a whole GPU. VOID has none; NONE has those that belong to no
 * GPU. Each GPU appears once, however many selectors name it; `missing` also has a line if ALL finds no GPU.
 *
 * Open selectors come after the others, in their order: each gives the first GPU by its index that fits,
 * works, is not in MIG mode, and that the grant does not have yet. A GPU without a UUID comes last: it was
 * never used, or does not come up. */
void nvl_grant_resolve(const struct nvl_grant *grant, const struct nvl_host *host,
                       struct nvl_resolved *resolved);
/* The same for a running container: what its start chose stays its choice as long as it fits. `has` has one
 * for each GPU of the host: whether the container has its node. */
void nvl_grant_resolve_running(const struct nvl_grant *grant, const struct nvl_host *host, const bool *has,
                               struct nvl_resolved *resolved);
/* The GPU that a selector names, or whose MIG device it names, whether usable or not; NULL if there is none.
 * A MIG UUID names none: only NVML knows it. Nor does an open selector. */
const struct nvl_gpu *nvl_find_selected(const struct nvl_gpus *gpus, const struct nvl_selector *selector);
/* Whether it may mean this GPU: one of all, the one that a selector names, or one without a UUID if a
 * selector has a UUID that no GPU reports; for a mapping any. */
bool nvl_grant_can_mean(const struct nvl_grant *grant, const struct nvl_gpus *gpus,
                        const struct nvl_gpu *gpu);
/* How deep nvl_host_read must go for this grant. */
enum nvl_gpus_depth nvl_grant_depth(const struct nvl_grant *grant);
void nvl_resolved_clear(struct nvl_resolved *resolved);

/* Adds one line. `gpu` is the GPU that the selector names, if it cannot be used or lacks the MIG device; else
 * NULL. */
void nvl_missing_selector(struct nvl_strv *missing, const struct nvl_host *host,
                          const struct nvl_selector *selector, const struct nvl_gpu *gpu);
/* Adds one line for "all" on a host without a GPU. */
void nvl_missing_all(struct nvl_strv *missing, const struct nvl_host *host);
