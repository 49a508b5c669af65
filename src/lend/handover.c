/* What lending and giving back share: the report, the containers, the host's own services. */
#include "lend/handover.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "apply/live.h"
#include "base/root.h"
#include "base/run.h"
#include "container/holding.h"
#include "grant/resolve.h"
#include "lend/notes.h"

#define SERVICE_SECONDS 30
#define NVIDIA_SMI      "/usr/bin/nvidia-smi"

static unsigned long long read_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000;
}

int nvl_handing_look(struct nvl_handing *h, struct nvl_error *err)
{
    nvl_host_clear(&h->host);
    return nvl_host_read(&h->host, h->request->root, NVL_GPUS_ALL, err);
}

int nvl_handing_open(struct nvl_handing *h, const struct nvl_handover_request *request,
                     struct nvl_handover *report, struct nvl_error *err)
{
    *h = (struct nvl_handing){.request = request, .report = report, .begin = read_clock(), .lock = -1};
    if (!request->dry_run) {
        h->lock = nvl_notes_lock(request->root, err);
        if (h->lock < 0)
            return h->lock;
    }
    int r = nvl_handing_look(h, err);
    return r == 0 ? nvl_containers_find(request->root, false, &h->containers, err) : r;
}

void nvl_handing_close(struct nvl_handing *h)
{
    free(h->granted);
    nvl_loan_clear(&h->loan);
    nvl_card_clear(&h->card);
    nvl_containers_clear(&h->containers);
    nvl_host_clear(&h->host);
    if (h->lock >= 0)
        close(h->lock);
}

void nvl_handing_note(const struct nvl_handing *h, const char *what)
{
    if (h->request->note != NULL)
        h->request->note(h->request->note_data, what);
}

void nvl_handing_step(struct nvl_handing *h, const char *fmt, ...)
{
    unsigned long long now = read_clock();
    va_list ap;

    va_start(ap, fmt);
    *NVL_APPEND(h->report->steps, h->report->n_steps) = (struct nvl_handover_step){
        .what = nvl_xvasprintf(fmt, ap), .millis = (unsigned long)(now - h->begin)};
    va_end(ap);
    h->begin = now;
}

void nvl_handover_clear(struct nvl_handover *handover)
{
    for (size_t i = 0; i < handover->n_steps; i++)
        free(handover->steps[i].what);
    free(handover->steps);
    free(handover->gpu);
    nvl_strv_clear(&handover->notes);
    nvl_strv_clear(&handover->problems);
    *handover = (struct nvl_handover){0};
}

/* ---- containers ---- */

static void say_live(struct nvl_handing *h, const char *name, const struct nvl_live_result *result)
{
    nvl_autofree char *taken = nvl_strv_join(&result->ejected.what, ", "),
                      *brought = nvl_strv_join(&result->injected.done, ", ");

    bool is_taken = result->ejected.what.count > 0, is_brought = result->injected.done.count > 0;
    if (is_taken || is_brought)
        nvl_handing_step(h, "container %s:%s%s%s%s%s", name, is_taken ? " removed " : "", taken,
                         is_taken && is_brought ? ";" : "", is_brought ? " added " : "", brought);
    for (size_t i = 0; i < result->ejected.problems.count; i++)
        nvl_strv_pushf(&h->report->problems, "container %s: %s", name, result->ejected.problems.items[i]);
}

static void update_container(struct nvl_handing *h, const struct nvl_container *c, const char *name)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = {0};
    nvl_auto(nvl_live_result_clear) struct nvl_live_result result = {0};
    struct nvl_error err = {0};
    const struct nvl_root *root = h->request->root;

    int r = nvl_container_read_config(root, c, &config, &err);
    if (r == 0)
        r = nvl_effective_read(root, c, &config, &effective, &err);
    if (r == 0)
        r = nvl_live_attach(root, c, &effective, &result, &err);
    if (r < 0)
        nvl_strv_pushf(&h->report->problems, "container %s: %s", name, err.message);
    else
        say_live(h, name, &result);
}

static bool has_gpu(const struct nvl_holding *holding, const char *pci)
{
    for (size_t i = 0; i < holding->resolved.n_gpus; i++)
        if (strcmp(holding->resolved.gpus[i].gpu->pci, pci) == 0)
            return true;
    return false;
}

/* What only a start can change stays as it is until then: the programs that have the GPU open count, whoever
 * gave it. */
static void look_at_container(struct nvl_handing *h, const struct nvl_gpu *gpu, size_t i)
{
    nvl_auto(nvl_holding_clear) struct nvl_holding holding = {0};
    nvl_autofree struct nvl_container *c = nvl_container_at(&h->containers, i);
    nvl_autofree char *name = nvl_container_full_name(&h->containers, c);
    struct nvl_error err = {0};

    if (nvl_holding_read(c, &h->host, &holding, &err) < 0) {
        nvl_strv_pushf(&h->report->problems, "container %s: %s", name, err.message);
        return;
    }
    bool is_meant = holding.is_by_hand ? has_gpu(&holding, gpu->pci)
                                       : nvl_grant_can_mean(&holding.grant, &h->host.gpus, gpu);
    if (!is_meant)
        return;
    if (holding.is_by_hand)
        nvl_strv_pushf(&h->report->notes,
                       "container %s has it by lines written by hand, which only a restart follows", name);
    else if (holding.grant.delivery.nodes == NVL_NODES_DEV ||
             holding.grant.delivery.libraries == NVL_LIBRARIES_HOST)
        nvl_strv_pushf(&h->report->notes, "container %s follows at its next start", name);
    else
        *NVL_APPEND(h->granted, h->n_granted) = i;
}

void nvl_handing_find_granted(struct nvl_handing *h, const struct nvl_gpu *gpu)
{
    nvl_auto(nvl_running_clear) struct nvl_running running = {0};

    nvl_running_read(h->request->root, &running);
    for (size_t i = 0; i < h->containers.count; i++) {
        nvl_autofree struct nvl_container *c = nvl_container_at(&h->containers, i);
        if (nvl_running_has(&running, c))
            look_at_container(h, gpu, i);
    }
}

void nvl_handing_update_containers(struct nvl_handing *h)
{
    for (size_t i = 0; i < h->n_granted; i++) {
        nvl_autofree struct nvl_container *c = nvl_container_at(&h->containers, h->granted[i]);
        nvl_autofree char *name = nvl_container_full_name(&h->containers, c);
        if (nvl_container_is_running(h->request->root, c))
            update_container(h, c, name);
    }
}

/* ---- the host ---- */

void nvl_handing_persistenced(struct nvl_handing *h, const char *verb)
{
    const char *const argv[] = {"systemctl", verb, "nvidia-persistenced.service", NULL};
    char text[256];

    int status = nvl_tool_run(argv, SERVICE_SECONDS, text, sizeof text);
    nvl_autofree char *why = nvl_status_text(status);
    if (status == 0)
        nvl_handing_step(h, "systemctl %s nvidia-persistenced", verb);
    else
        nvl_strv_pushf(&h->report->problems, "systemctl %s nvidia-persistenced.service: %s", verb, why);
}

/* Source: nvidia-smi(1), "drain". A driver that does not know it, or a GPU that cannot, is no obstacle. */
bool nvl_handing_drain(const struct nvl_handing *h, bool on)
{
    const char *const argv[] = {NVIDIA_SMI, "drain", "-p", h->report->pci, "-m", on ? "1" : "0", NULL};
    char text[256];

    return nvl_root_exists(h->request->root, NVIDIA_SMI) &&
           nvl_tool_run(argv, NVL_TOOL_SECONDS, text, sizeof text) == 0;
}
