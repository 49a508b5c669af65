/* Turns the options of `attach` into a grant that stays valid. */
#include "attach/request.h"

#include <errno.h>

#include "base/error.h"
#include "host/gpu_reason.h"
#include "host/nvml.h"

int nvl_request_parse(const struct nvl_strv *gpus, const char *capabilities, bool required,
                      struct nvl_grant *grant, struct nvl_error *err)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) words = {0};

    *grant = (struct nvl_grant){
        .devices = NVL_DEVICES_LIST, .capabilities = NVL_CAP_DEFAULT, .delivery.required = required};
    int r = capabilities != NULL ? nvl_capabilities_parse(capabilities, &grant->capabilities, err) : 0;
    if (r < 0) {
        nvl_error_exit(err, NVL_EXIT_USAGE);
        return r;
    }
    for (size_t i = 0; i < gpus->count; i++)
        nvl_strv_split(&words, gpus->items[i], ",");
    if (gpus->count > 0 && words.count == 0)
        return nvl_error_usage(err, "--gpu is empty");
    for (size_t i = 0; i < words.count; i++) {
        bool all = strcmp(words.items[i], "all") == 0;
        if (all || strcmp(words.items[i], "none") == 0) {
            if (words.count > 1)
                return nvl_error_usage(err, "--gpu %s cannot be combined with other GPUs", words.items[i]);
            grant->devices = all ? NVL_DEVICES_ALL : NVL_DEVICES_NONE;
            return 0;
        }
        struct nvl_selector *selector = NVL_APPEND(grant->selectors, grant->n_selectors);
        r = nvl_selector_parse(words.items[i], selector, err);
        if (r < 0) {
            nvl_error_exit(err, NVL_EXIT_USAGE);
            return r;
        }
    }
    return nvl_grant_check_size(grant, err);
}

/* "  0 NVIDIA RTX A5500 Laptop GPU GPU-…", "  vfio-pci holds the GPU at 0000:02:00.0", "    MIG-GPU-…/1/0",
 * each after a newline: what --gpu can name on this host. Virtual functions are not GPUs. */
static char *what_there_is(const struct nvl_gpus *gpus, bool migs)
{
    struct nvl_buf b = {0};

    for (size_t i = 0; i < gpus->count; i++) {
        const struct nvl_gpu *g = &gpus->items[i];
        nvl_autofree char *why_not = nvl_gpu_why_not(g);
        if (nvl_gpu_state(g) == NVL_GPU_IS_VIRTUAL)
            continue;
        if (why_not != NULL)
            nvl_buf_addf(&b, "\n  %s", why_not);
        else
            nvl_buf_addf(&b, "\n  %d %s %s", g->index, g->model[0] != '\0' ? g->model : "GPU",
                         g->uuid[0] != '\0' ? g->uuid : g->pci);
        if (migs && g->n_migs > 0 && g->uuid[0] == '\0')
            nvl_buf_addf(&b, " with MIG devices, which have names once a program has used the GPU");
        for (size_t m = 0; migs && m < g->n_migs; m++) {
            nvl_autofree char *mig = nvl_mig_uuid(g, &g->migs[m]);
            if (mig != NULL)
                nvl_buf_addf(&b, "\n    %s", mig);
        }
    }
    return nvl_buf_take(&b);
}

/* Says why this GPU of the machine is not available, and what to do. */
static int refuse_gpu(const struct nvl_host *host, const struct nvl_gpu *g, struct nvl_error *err)
{
    nvl_auto(nvl_gpu_context_clear) struct nvl_gpu_context context = {0};
    nvl_auto(nvl_gpu_reason_clear) struct nvl_gpu_reason reason = {0};

    int r = nvl_gpu_context_read(host, &context, err);
    if (r < 0)
        return r;
    nvl_gpu_explain(&context.surroundings, g, &reason);
    nvl_autofree char *fix = nvl_strv_join(&reason.fix, "\n");
    r = nvl_error_host(err, reason.state == NVL_GPU_IS_HELD ? -EBUSY : -ENODEV, "the GPU %s %s", g->pci,
                       reason.what);
    nvl_error_hint(err, "%s", fix[0] != '\0' ? fix : reason.cause);
    return r;
}

static int check_host(const struct nvl_host *host, struct nvl_error *err)
{
    const struct nvl_gpu *first = NULL;

    for (size_t i = 0; i < host->gpus.count; i++) {
        const struct nvl_gpu *gpu = &host->gpus.items[i];
        if (nvl_gpu_can_be_given(gpu))
            return 0;
        if (first == NULL && nvl_gpu_state(gpu) != NVL_GPU_IS_VIRTUAL)
            first = gpu;
    }
    if (first != NULL)
        return refuse_gpu(host, first, err);
    return nvl_gpu_refuse_absence(
        host->root, "see `lspci -d 10de:`; a virtual machine needs the GPU passed through to it", err);
}

static int refuse_unknown(const struct nvl_host *host, const struct nvl_selector *s, struct nvl_error *err)
{
    nvl_autofree char *there =
        what_there_is(&host->gpus, s->kind == NVL_SELECT_MIG || s->kind == NVL_SELECT_MIG_UUID);

    nvl_error_set(err, -ENOENT, "no GPU %s on this host; it has:%s", s->text, there);
    nvl_error_hint(err, "which GPUs there are: nvlxc gpus");
    return -ENOENT;
}

static int find_mig_uuid(const struct nvl_host *host, struct nvl_selector *s, struct nvl_error *err)
{
    nvl_autofree char *path = NULL;
    int r = nvl_nvml_find(host, &path, err);

    if (r < 0) {
        nvl_error_hint(err,
                       "the device as MIG-GPU-UUID/GI/CI, a form that works without NVML: nvlxc gpus --wide");
        return r;
    }
    r = nvl_nvml_find_mig(path, s->text, s->gpu, &s->gi, &s->ci, err);
    if (r == -ENOENT)
        return refuse_unknown(host, s, err);
    if (r < 0)
        return nvl_error_prefix(err, "%s", path);
    s->kind = NVL_SELECT_MIG;
    return 0;
}

static bool has_mig(const struct nvl_gpu *g, unsigned gi, unsigned ci)
{
    for (size_t i = 0; i < g->n_migs; i++)
        if (g->migs[i].gi == gi && g->migs[i].ci == ci)
            return true;
    return false;
}

/* Rewrites the selector in its stable form. */
static int stabilise(const struct nvl_host *host, struct nvl_selector *s, struct nvl_error *err)
{
    int r = s->kind == NVL_SELECT_MIG_UUID ? find_mig_uuid(host, s, err) : 0;
    if (r < 0 || nvl_selector_is_open(s))
        return r;
    const struct nvl_gpu *g = nvl_find_selected(&host->gpus, s);
    if (g == NULL || (s->kind == NVL_SELECT_MIG && !has_mig(g, s->gi, s->ci)))
        return refuse_unknown(host, s, err);
    if (!nvl_gpu_can_be_given(g))
        return refuse_gpu(host, g, err);

    const struct nvl_mig mig = {.gi = s->gi, .ci = s->ci};
    nvl_autofree char *text = s->kind == NVL_SELECT_MIG ? nvl_mig_uuid(g, &mig)
                                                        : nvl_xstrdup(g->uuid[0] != '\0' ? g->uuid : g->pci);
    return nvl_selector_parse(text, s, err);
}

static int only_gpu(const struct nvl_host *host, struct nvl_grant *grant, struct nvl_error *err)
{
    const struct nvl_gpu *only = NULL;
    size_t n = 0;

    for (size_t i = 0; i < host->gpus.count; i++)
        if (nvl_gpu_can_be_given(&host->gpus.items[i])) {
            only = &host->gpus.items[i];
            n++;
        }
    if (n == 1)
        return nvl_selector_parse(only->uuid[0] != '\0' ? only->uuid : only->pci,
                                  NVL_APPEND(grant->selectors, grant->n_selectors), err);
    nvl_autofree char *there = what_there_is(&host->gpus, false);
    nvl_error_usage(err, "this host has %zu NVIDIA GPUs; choose with --gpu:%s", n, there);
    nvl_error_hint(err, "--gpu 0, --gpu GPU-…, --gpu all; repeat it for several GPUs");
    return -EINVAL;
}

void nvl_request_warn(const struct nvl_host *host, const struct nvl_resolved *resolved,
                      struct nvl_strv *warnings)
{
    nvl_auto(nvl_gpu_context_clear) struct nvl_gpu_context context = {0};
    struct nvl_error err = {0};

    if (nvl_gpu_context_read(host, &context, &err) < 0)
        nvl_strv_push(warnings, err.message);
    for (size_t i = 0; i < resolved->missing.count; i++)
        nvl_strv_push(warnings, resolved->missing.items[i]);
    for (size_t i = 0; i < resolved->n_gpus; i++) {
        const struct nvl_gpu *g = resolved->gpus[i].gpu;
        nvl_auto(nvl_gpu_reason_clear) struct nvl_gpu_reason reason = {0};
        nvl_gpu_explain(&context.surroundings, g, &reason);
        nvl_autofree char *fix = nvl_strv_join(&reason.fix, "; ");
        if (reason.what != NULL)
            nvl_strv_pushf(warnings, "GPU %d %s: %s; %s", g->index, reason.what, reason.cause, fix);
        for (size_t c = 0; c < reason.claims.count; c++) {
            if (reason.claims.items[c].vm != NULL && reason.claims.items[c].vm->takes_turns)
                continue;
            nvl_autofree char *text = nvl_vm_claim_text(&reason.claims.items[c]);
            nvl_strv_pushf(warnings, "GPU %d: %s", g->index, text);
        }
        if (g->mig_enabled && resolved->gpus[i].mig == NULL)
            nvl_strv_pushf(
                warnings,
                "GPU %d is in MIG mode: CUDA needs one of its MIG devices, which `nvlxc gpus --wide` lists",
                g->index);
    }
}

/* Each of the open selectors has to find one here, or it may be a mistake. */
static int check_choices(const struct nvl_host *host, const struct nvl_grant *grant, struct nvl_error *err)
{
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved = {0};

    nvl_grant_resolve(grant, host, &resolved);
    if (resolved.missing.count == 0)
        return 0;
    nvl_error_set(err, -ENOENT, "%s", resolved.missing.items[0]);
    nvl_error_hint(err,
                   "which GPUs there are: nvlxc gpus\nif it is for another node of the cluster, add --force");
    return -ENOENT;
}

int nvl_request_resolve(const struct nvl_host *host, struct nvl_grant *grant, bool force,
                        struct nvl_error *err)
{
    bool is_open = nvl_grant_is_open(grant);

    if (grant->devices == NVL_DEVICES_NONE)
        return 0;
    int r = is_open && force ? 0 : check_host(host, err);
    if (r < 0 || grant->devices == NVL_DEVICES_ALL)
        return r;
    if (grant->n_selectors == 0)
        return only_gpu(host, grant, err);

    size_t kept = 0;
    for (size_t i = 0; i < grant->n_selectors; i++) {
        struct nvl_selector s = grant->selectors[i];
        r = stabilise(host, &s, err);
        if (r < 0)
            return r;
        bool again = false;
        for (size_t k = 0; k < kept && !nvl_selector_is_open(&s); k++)
            again = again || strcmp(grant->selectors[k].text, s.text) == 0;
        if (!again)
            grant->selectors[kept++] = s;
    }
    grant->n_selectors = kept;
    return is_open && !force ? check_choices(host, grant, err) : 0;
}
