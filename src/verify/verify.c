/* verify: the order of the steps. */
#include "verify/verify.h"

#include "container/hook_environment.h"
#include "verify/parts.h"
#include "doctor/container/shared.h"
#include "doctor/facts.h"
#include "verify/session.h"
#include "verify/workloads.h"

/* A GPU of the grant that is here and does not work: what the host reports about it. */
static const struct nvl_gpu_reason *find_broken(const struct nvl_container_facts *f)
{
    const struct nvl_host_facts *host = f->host;

    if (host->reasons == NULL)
        return NULL;
    for (size_t i = 0; i < f->resolved.n_gpus; i++) {
        const struct nvl_gpu_reason *r = &host->reasons[f->resolved.gpus[i].gpu - host->host.gpus.items];
        if (r->what != NULL)
            return r;
    }
    for (size_t i = 0; f->resolved.missing.count > 0 && i < host->host.gpus.count; i++)
        if (host->reasons[i].state == NVL_GPU_IS_SILENT || host->reasons[i].state == NVL_GPU_IS_LOST)
            return &host->reasons[i];
    return NULL;
}

static void fail_broken(struct nvl_verify *v, const char *devices, const struct nvl_gpu_reason *r)
{
    nvl_autofree char *fix = nvl_strv_join(&r->fix, "\n");
    struct nvl_step *step = nvl_step_add(v, "grant", NVL_STEP_FAIL, "%s; its GPU %s", devices, r->what);

    nvl_step_cause(step, "%s", r->cause);
    if (fix[0] != '\0')
        nvl_step_fix(step, "%s", fix);
}

/* attach refuses such a config; it may have come later, or with lines by hand. */
static void judge_environment(struct nvl_verify *v)
{
    nvl_auto(nvl_hook_dangers_clear) struct nvl_hook_dangers dangers = {0};
    const struct nvl_container_facts *f = v->facts;

    nvl_hook_dangers_find(f->host->root, f->container, &f->effective, &dangers);
    for (size_t i = 0; i < dangers.count; i++) {
        struct nvl_step *step =
            nvl_step_add(v, "environment", NVL_STEP_FAIL, "its config %s", dangers.items[i].why);
        nvl_step_cause(step,
                       "LXC sets that for the host's shell that runs its hooks, which can run code of its "
                       "image on the host");
        nvl_step_fix(step, "%s", nvl_hook_danger_fix);
    }
}

/* False if the container was given nothing: then there is nothing to try. */
static bool judge_grant(struct nvl_verify *v)
{
    const struct nvl_container_facts *f = v->facts;

    nvl_step_add(v, "running", NVL_STEP_PASS, "init is process %d of the host", (int)f->init);
    judge_environment(v);
    v->capabilities = f->has_grant ? f->grant.capabilities : NVL_CAP_ALL;
    if (f->has_grant && f->grant.devices != NVL_DEVICES_VOID) {
        nvl_autofree char *devices = nvl_grant_devices(&f->grant),
                          *words = nvl_capabilities_format(f->grant.capabilities);
        const struct nvl_gpu_reason *broken = find_broken(f);
        if (broken != NULL) {
            fail_broken(v, devices, broken);
            return true;
        }
        if (f->resolved.missing.count == 0) {
            nvl_step_add(v, "grant", NVL_STEP_PASS, "%s; %s", devices, words);
            return true;
        }
        struct nvl_step *step =
            nvl_step_add(v, "grant", NVL_STEP_FAIL, "%s; %s", devices, f->resolved.missing.items[0]);
        nvl_step_cause(step, "the grant names something that this host does not have");
        nvl_step_fix(step, "nvlxc gpus\nnvlxc attach %s --gpu GPU\n%s", v->request->name,
                     v->request->restart);
        return true;
    }
    if (nvl_has_lines_by_hand(f)) {
        nvl_step_add(v, "grant", NVL_STEP_PASS, "lines by hand in the config, no grant from nvlxc");
        return true;
    }
    struct nvl_step *step =
        nvl_step_add(v, "grant", NVL_STEP_FAIL, "%s gives no GPU", f->container->config_path);
    nvl_step_cause(step, "no GPU was attached to this container");
    nvl_autofree char *again = nvl_attach_again(f);
    nvl_step_fix(step, "%s\n%s", again, v->request->restart);
    return false;
}

const char *const nvl_verify_workloads[] = {"ollama", "pytorch", "tensorflow", "ffmpeg", "jellyfin",
                                            "plex",   "emby",    "frigate",    "immich", "open-webui",
                                            "docker", "podman",  NULL};

static void verify_workload(struct nvl_verify *v, const struct nvl_workload *w)
{
    bool asked = nvl_workload_is_asked(v, w->name, w->other);

    if (asked || v->request->workload == NULL)
        w->verify(v, asked);
}

/* If a workload is named, only that one. */
static void verify_workloads(struct nvl_verify *v)
{
    verify_workload(v, &nvl_workload_ollama);
    nvl_part_programs.verify(v);
    nvl_part_python.verify(v);
    verify_workload(v, &nvl_workload_cdi);
}

static void run_steps(struct nvl_verify *v)
{
    static const struct nvl_verify_part *const parts[] = {
        &nvl_part_nodes,
        &nvl_part_libraries,
        &nvl_part_gpu,
        &nvl_part_media,
    };

    if (!judge_grant(v))
        return;
    for (size_t i = 0; i < NVL_LENGTH(parts); i++)
        parts[i]->verify(v);
    verify_workloads(v);
}

int nvl_verify(const struct nvl_container_facts *facts, const struct nvl_verify_request *request,
               struct nvl_steps *steps, struct nvl_error *err)
{
    nvl_auto(nvl_verify_close) struct nvl_verify v = {.inside = NVL_INSIDE_NONE, .probe = -1};

    int r = nvl_verify_open(&v, facts, request, err);
    v.steps = steps;
    if (r == 0)
        run_steps(&v);
    return r;
}
