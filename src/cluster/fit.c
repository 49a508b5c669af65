/* Resolves a container's grant on another node, and compares what its own node gives it with what that one
 * would. */
#include "cluster/fit.h"

#include "host/gpu_state.h"

const char *nvl_fit_verdict_name(enum nvl_fit_verdict verdict)
{
    static const char *const names[] = {[NVL_FIT_RUNS] = "yes",
                                        [NVL_FIT_PERHAPS] = "perhaps",
                                        [NVL_FIT_NOT] = "no",
                                        [NVL_FIT_UNKNOWN] = "unknown"};

    return names[verdict];
}

bool nvl_grant_names_one(const struct nvl_grant *grant)
{
    for (size_t i = 0; i < grant->n_selectors; i++)
        if (grant->selectors[i].kind == NVL_SELECT_UUID || grant->selectors[i].kind == NVL_SELECT_MIG ||
            grant->selectors[i].kind == NVL_SELECT_MIG_UUID)
            return true;
    return false;
}

/* Takes the reason over. */
static void add_fit_reason(struct nvl_fit *fit, enum nvl_fit_verdict verdict, char *reason)
{
    nvl_autofree char *text = reason;

    if (verdict > fit->verdict)
        fit->verdict = verdict;
    nvl_strv_push(&fit->reasons, text);
}

/* What a grant resolves to is said of "this host", which here is the node. */
static char *of_node(const char *text, const char *node)
{
    static const char here[] = "this host";
    struct nvl_buf b = {0};

    for (const char *at; (at = strstr(text, here)) != NULL; text = at + strlen(here)) {
        nvl_buf_add(&b, text, (size_t)(at - text));
        nvl_buf_addf(&b, "%s", node);
    }
    nvl_buf_addf(&b, "%s", text);
    return nvl_buf_take(&b);
}

static void judge_gpus(const struct nvl_cluster_node *node, struct nvl_fit *fit)
{
    for (size_t i = 0; i < fit->resolved.missing.count; i++)
        add_fit_reason(fit, NVL_FIT_NOT, of_node(fit->resolved.missing.items[i], node->name));
    for (size_t i = 0; i < fit->resolved.n_gpus; i++) {
        const struct nvl_gpu *gpu = fit->resolved.gpus[i].gpu;
        enum nvl_gpu_state state = nvl_gpu_state(gpu);
        nvl_autofree char *remark = nvl_gpu_remark(gpu);
        if (state == NVL_GPU_IS_LOST || state == NVL_GPU_IS_SILENT)
            add_fit_reason(fit, NVL_FIT_NOT,
                           nvl_xasprintf("GPU %d of %s: %s", gpu->index, node->name, remark));
    }
}

/* Whether the config names device nodes by their number, and the GPUs there have others. */
static bool has_other_minors(const struct nvl_cluster_guest *guest, const struct nvl_fit *fit)
{
    const struct nvl_resolved *home = &guest->holding.resolved;
    enum nvl_nodes_mode nodes = guest->holding.grant.delivery.nodes;

    if (nodes == NVL_NODES_HOOK || home->n_gpus == 0)
        return false;
    for (size_t i = 0; i < fit->resolved.n_gpus; i++) {
        bool is_named = false;
        for (size_t k = 0; k < home->n_gpus; k++)
            is_named |= home->gpus[k].gpu->minor == fit->resolved.gpus[i].gpu->minor;
        if (!is_named)
            return true;
    }
    return false;
}

/* What the container brings along was made for its own node's driver. */
static void judge_driver(const struct nvl_cluster_guest *guest, const struct nvl_cluster_node *node,
                         struct nvl_fit *fit)
{
    const char *own = guest->node->host.driver.version, *its = node->host.driver.version;

    if (!guest->node->is_known || own[0] == '\0' || its[0] == '\0' || strcmp(own, its) == 0)
        return;
    if (guest->holding.grant.delivery.libraries == NVL_LIBRARIES_NONE)
        add_fit_reason(fit, NVL_FIT_NOT,
                       nvl_xasprintf("it has its own files of the driver of %s, %s, and %s has %s",
                                     guest->node->name, own, node->name, its));
    else if (nvl_version_compare(its, own) < 0)
        add_fit_reason(
            fit, NVL_FIT_PERHAPS,
            nvl_xasprintf("the driver of %s, %s, is older than %s of %s: programs that need the newer one "
                          "fail there",
                          node->name, its, own, guest->node->name));
}

/* Who has the GPU there, if one of them is to have it alone. */
static void judge_company(const struct nvl_cluster_guests *guests, const struct nvl_cluster_guest *guest,
                          const struct nvl_cluster_node *node, struct nvl_fit *fit)
{
    for (size_t i = 0; i < guests->count; i++) {
        const struct nvl_cluster_guest *other = &guests->items[i];
        bool is_alone = guest->holding.is_exclusive || other->holding.is_exclusive;
        if (other->node == node && is_alone && strcmp(other->name, guest->name) != 0 &&
            nvl_holding_shares(&fit->resolved, &other->holding) != NULL)
            add_fit_reason(fit, NVL_FIT_PERHAPS,
                           nvl_xasprintf("%s has the GPU of %s, and %s is to have it alone", other->name,
                                         node->name,
                                         other->holding.is_exclusive ? other->name : guest->name));
    }
}

static void judge_vms(const struct nvl_cluster_node *node, struct nvl_fit *fit)
{
    for (size_t i = 0; i < node->vms.count; i++)
        for (size_t k = 0; k < fit->resolved.n_gpus; k++)
            if (!node->vms.items[i].goes &&
                nvl_vm_device_is(&node->vms.items[i], fit->resolved.gpus[k].gpu->pci))
                add_fit_reason(fit, NVL_FIT_PERHAPS,
                               nvl_xasprintf("VM %s of %s takes GPU %d when it starts", node->vms.items[i].vm,
                                             node->name, fit->resolved.gpus[k].gpu->index));
}

void nvl_cluster_fit(const struct nvl_cluster_guests *guests, const struct nvl_cluster_guest *guest,
                     const struct nvl_cluster_node *node, struct nvl_fit *fit)
{
    *fit = (struct nvl_fit){0};
    if (!node->is_known) {
        add_fit_reason(fit, NVL_FIT_UNKNOWN, nvl_cluster_node_silence(node));
        return;
    }
    nvl_grant_resolve(&guest->holding.grant, &node->host, &fit->resolved);
    judge_gpus(node, fit);
    if (node == guest->node || fit->verdict == NVL_FIT_NOT)
        return;
    if (has_other_minors(guest, fit))
        add_fit_reason(fit, NVL_FIT_NOT,
                       nvl_xasprintf("its lines name device nodes of %s, and the GPU of %s has another",
                                     guest->node->name, node->name));
    judge_driver(guest, node, fit);
    if (guests != NULL)
        judge_company(guests, guest, node, fit);
    judge_vms(node, fit);
    if (!node->is_online)
        add_fit_reason(fit, NVL_FIT_PERHAPS, nvl_xasprintf("%s is offline", node->name));
}

void nvl_fit_clear(struct nvl_fit *fit)
{
    nvl_strv_clear(&fit->reasons);
    nvl_resolved_clear(&fit->resolved);
}
