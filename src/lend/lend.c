/* Checks, takes it from the containers, then from the driver. */
#include "lend/lend.h"

#include <errno.h>
#include <stdio.h>

#include "base/error.h"
#include "base/visit.h"
#include "grant/resolve.h"
#include "host/gpu_state.h"
#include "host/virtual_machines.h"
#include "lend/back.h"
#include "lend/holders.h"
#include "lend/notes.h"
#include "lend/rebind.h"

#define VFIO           "vfio-pci"
#define MOMENT_SECONDS 2
#define CLOSE_SECONDS  5 /* for nodes to be closed, once nobody can open them any more */

static int find_gpu(const struct nvl_handing *h, const struct nvl_gpu **gpu, struct nvl_error *err)
{
    const char *text = h->request->gpu;
    struct nvl_selector selector;

    if (text == NULL && h->host.gpus.count == 1) {
        *gpu = &h->host.gpus.items[0];
        return 0;
    }
    if (text == NULL) {
        nvl_error_usage(err, "this host has %zu NVIDIA GPUs: which one?", h->host.gpus.count);
        nvl_error_hint(err, "which GPUs there are: nvlxc gpus");
        return -EINVAL;
    }
    int r = nvl_selector_parse(text, &selector, err);
    if (r < 0)
        return r;
    if (selector.kind != NVL_SELECT_INDEX && selector.kind != NVL_SELECT_UUID &&
        selector.kind != NVL_SELECT_PCI)
        return nvl_error_usage(err, "'%s' names no whole GPU, and a virtual machine gets no less", text);
    *gpu = nvl_find_selected(&h->host.gpus, &selector);
    if (*gpu != NULL)
        return 0;
    nvl_error_host(err, -ENOENT, "no GPU %s on this host", text);
    nvl_error_hint(err, "which GPUs there are: nvlxc gpus");
    return -ENOENT;
}

static bool is_with_vfio(const struct nvl_card *card)
{
    for (size_t i = 0; i < card->count; i++)
        if (strcmp(card->functions[i].driver, VFIO) != 0)
            return false;
    return true;
}

/* What was noted before an earlier run was killed stays true. */
static void take_note(struct nvl_handing *h, const struct nvl_gpu *gpu)
{
    struct nvl_loan *loan = &h->loan;

    bool is_new = nvl_loan_read(h->request->root, gpu->pci, loan) < 0 || loan->n_functions == 0;
    nvl_copy(loan->pci, sizeof loan->pci, gpu->pci, strlen(gpu->pci));
    if (h->request->vm != NULL)
        nvl_copy(loan->vm, sizeof loan->vm, h->request->vm, strlen(h->request->vm));
    if (!is_new)
        return;
    loan->index = gpu->index;
    nvl_copy(loan->uuid, sizeof loan->uuid, gpu->uuid, strlen(gpu->uuid));
    nvl_copy(loan->model, sizeof loan->model, gpu->model, strlen(gpu->model));
    for (size_t i = 0; i < h->card.count; i++) {
        struct nvl_lent_function *function = NVL_APPEND(loan->functions, loan->n_functions);
        memcpy(function->pci, h->card.functions[i].pci, sizeof function->pci);
        memcpy(function->driver, h->card.functions[i].driver, sizeof function->driver);
    }
}

static int refuse_for_obstacles(const struct nvl_handing *h, const struct nvl_obstacles *o,
                                struct nvl_error *err)
{
    nvl_autofree char *what = nvl_strv_join(&o->what, "\n  "), *fix = nvl_strv_join(&o->fix, "\n");

    nvl_error_host(err, -ENOTSUP, "%s cannot be lent:\n  %s", h->report->gpu, what);
    nvl_error_hint(err, "%s", fix);
    return -ENOTSUP;
}

/* What the host could lend at all; nothing is touched yet. */
static int check_card(struct nvl_handing *h, const struct nvl_gpu *gpu, struct nvl_error *err)
{
    nvl_auto(nvl_obstacles_clear) struct nvl_obstacles obstacles = {0};

    if (gpu->physical[0] != '\0')
        return nvl_error_host(err, -ENOTSUP,
                              "%s is a virtual function of the GPU at %s: it is not lent by nvlxc", gpu->pci,
                              gpu->physical);
    int r = nvl_card_read(h->request->root, gpu->pci, &h->card, err);
    if (r < 0)
        return r;
    nvl_obstacles_find(&h->host, gpu, &h->card, &obstacles);
    return obstacles.what.count > 0 ? refuse_for_obstacles(h, &obstacles, err) : 0;
}

static void add_way_out(const struct nvl_handing *h, const struct nvl_holder *holder, struct nvl_strv *fix)
{
    nvl_autofree char *stop = nvl_xasprintf("nvlxc gpu lend %s%s%s --stop   # ends the containers' programs",
                                            h->report->pci, h->request->vm != NULL ? " --to-vm " : "",
                                            h->request->vm != NULL ? h->request->vm : "");
    nvl_autofree char *unit =
        holder->unit != NULL
            ? nvl_xasprintf("systemctl stop %s", holder->unit)
            : nvl_xasprintf("end the host's program %s (pid %d)",
                            nvl_is_plain(holder->name) ? holder->name : "", (int)holder->pid);

    nvl_strv_push_once(fix, holder->container != NULL ? stop : unit);
}

/* Programs of the host, and without --stop those of containers, are not ended. */
static int check_holders(const struct nvl_handing *h, const struct nvl_holders *holders, bool ends_containers,
                         struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv what = {0}, fix = {0};

    for (size_t i = 0; i < holders->count; i++) {
        const struct nvl_holder *holder = &holders->items[i];
        if (holder->is_persistenced || (holder->container != NULL && ends_containers))
            continue;
        nvl_autofree char *text = nvl_holder_text(holder);
        nvl_strv_push(&what, text);
        add_way_out(h, holder, &fix);
    }
    if (what.count == 0)
        return 0;
    nvl_autofree char *list = nvl_strv_join(&what, "\n  "), *hint = nvl_strv_join(&fix, "\n");
    nvl_error_host(err, -EBUSY, "%s is in use:\n  %s", h->report->gpu, list);
    nvl_error_hint(err, "%s", hint);
    return -EBUSY;
}

static bool has_persistenced(const struct nvl_holders *holders)
{
    for (size_t i = 0; i < holders->count; i++)
        if (holders->items[i].is_persistenced)
            return true;
    return false;
}

/* Alone on the machine it would have no GPU, and fail. */
static bool has_other_gpu(const struct nvl_handing *h)
{
    for (size_t i = 0; i < h->host.gpus.count; i++)
        if (nvl_gpu_can_be_given(&h->host.gpus.items[i]) &&
            strcmp(h->host.gpus.items[i].pci, h->report->pci) != 0)
            return true;
    return false;
}

/* From here on no container gets it: those that run lose its node, and then nobody can open it anew. */
static int clear_gpu(struct nvl_handing *h, struct nvl_error *err)
{
    nvl_auto(nvl_holders_clear) struct nvl_holders holders = {0};
    const struct nvl_gpu *gpu;

    int r = nvl_note_write(h->request->root, &h->loan, err);
    if (r == 0)
        r = nvl_handing_look(h, err);
    if (r < 0)
        return r;
    nvl_handing_step(h, "noted that it is lent");
    nvl_handing_note(h, "taking it from the containers");
    nvl_handing_update_containers(h);
    gpu = nvl_gpu_by_pci(&h->host.gpus, h->report->pci);
    if (gpu == NULL)
        return nvl_error_set(err, -ENODEV, "%s has gone meanwhile", h->report->gpu);
    nvl_holders_find(&h->host, gpu, &h->containers, &holders);
    if (h->request->stop && holders.count > 0) {
        nvl_handing_note(h, "ending the programs that use it");
        nvl_holders_end(&h->host, gpu, &h->containers);
        nvl_handing_step(h, "ended the containers' programs that had it open");
    }
    nvl_handing_note(h, "waiting for it to be closed");
    nvl_holders_wait(&h->host, gpu, &h->containers, CLOSE_SECONDS, false, &holders);
    r = check_holders(h, &holders, false, err);
    if (r == 0 && has_persistenced(&holders)) {
        h->loan.stopped_persistenced = true;
        r = nvl_note_write(h->request->root, &h->loan, err);
        if (r == 0)
            nvl_handing_persistenced(h, "stop");
        nvl_holders_wait(&h->host, gpu, &h->containers, CLOSE_SECONDS, true, &holders);
        for (size_t i = 0; i < holders.count; i++)
            holders.items[i].is_persistenced = false;
        r = r == 0 ? check_holders(h, &holders, false, err) : r;
    }
    return r;
}

/* From here on the driver accepts no program on it. */
static int drain(struct nvl_handing *h, const struct nvl_gpu *gpu, struct nvl_error *err)
{
    if (gpu->driver != NVL_GPU_NVIDIA)
        return 0;
    h->loan.drained = true;
    int r = nvl_note_write(h->request->root, &h->loan, err);
    if (r == 0 && nvl_handing_drain(h, true))
        nvl_handing_step(h, "nvidia-smi drain");
    return r;
}

static int give_to_vfio(struct nvl_handing *h, const struct nvl_function *function, struct nvl_error *err)
{
    nvl_autofree char *what = nvl_xasprintf("giving %s to " VFIO, function->pci);

    nvl_handing_note(h, what);
    int r = nvl_rebind(h->request->root, function->pci, VFIO, true, err);
    if (r == 0)
        nvl_handing_step(h, "%s: from %s to " VFIO, function->pci,
                         function->driver[0] != '\0' ? function->driver : "no driver");
    return r;
}

static int take_from_driver(struct nvl_handing *h, struct nvl_error *err)
{
    nvl_auto(nvl_holders_clear) struct nvl_holders holders = {0};
    const struct nvl_gpu *gpu = nvl_gpu_by_pci(&h->host.gpus, h->report->pci);

    int r = nvl_load_pci_driver(h->request->root, VFIO, err);
    if (r == 0)
        r = drain(h, gpu, err);
    if (r < 0)
        return r;
    /* the last look: with anybody at it the driver would wait for ever */
    nvl_holders_find(&h->host, gpu, &h->containers, &holders);
    r = check_holders(h, &holders, false, err);
    for (size_t i = 0; i < h->card.count && r == 0; i++)
        r = give_to_vfio(h, &h->card.functions[i], err);
    if (r == 0 && h->loan.stopped_persistenced && has_other_gpu(h))
        nvl_handing_persistenced(h, "start");
    return r;
}

/* Only a driver that still waits keeps all of it from being undone. */
static int undo(struct nvl_handing *h, int code, struct nvl_error *err)
{
    nvl_autofree char *first = nvl_xstrdup(err->message);
    struct nvl_error second = {0};

    if (code == -ETIMEDOUT || nvl_give_back(h, &second) == 0)
        return code;
    nvl_error_host(err, code, "%s; then it could not be given back: %s", first, second.message);
    nvl_error_hint(err, "nvlxc gpu back %s", h->report->pci);
    return code;
}

/* A VM that does not name it would start without it. */
static void look_at_vm(struct nvl_handing *h, const struct nvl_gpu *gpu)
{
    nvl_auto(nvl_vm_devices_clear) struct nvl_vm_devices devices = {0};

    if (h->request->vm == NULL)
        return;
    nvl_vm_devices_read(h->request->root, &devices);
    for (size_t i = 0; i < devices.count; i++)
        if (strcmp(devices.items[i].vm, h->request->vm) == 0 && nvl_vm_device_is(&devices.items[i], gpu->pci))
            return;
    nvl_strv_pushf(&h->report->notes, "VM %s does not name it: qm set %s --hostpci0 %.*s", h->request->vm,
                   h->request->vm, (int)strcspn(gpu->pci, "."), gpu->pci);
}

static int lend_gpu(struct nvl_handing *h, const struct nvl_gpu *gpu, struct nvl_error *err)
{
    nvl_auto(nvl_holders_clear) struct nvl_holders holders = {0};

    nvl_copy(h->report->pci, sizeof h->report->pci, gpu->pci, strlen(gpu->pci));
    h->report->gpu = nvl_gpu_text(gpu);
    int r = check_card(h, gpu, err);
    if (r < 0)
        return r;
    if (is_with_vfio(&h->card)) {
        h->report->was_done = true;
        return 0;
    }
    /* what only asks the GPU something, as a monitor does, has it open for a moment */
    nvl_holders_wait(&h->host, gpu, &h->containers, h->request->stop ? 0 : MOMENT_SECONDS, false, &holders);
    r = check_holders(h, &holders, h->request->stop, err);
    if (r < 0 || h->request->dry_run)
        return r;
    nvl_handing_find_granted(h, gpu);
    look_at_vm(h, gpu);
    nvl_visit_writes();
    take_note(h, gpu);
    r = clear_gpu(h, err);
    if (r == 0)
        r = take_from_driver(h, err);
    return r < 0 ? undo(h, r, err) : 0;
}

int nvl_lend(const struct nvl_handover_request *request, struct nvl_handover *handover, struct nvl_error *err)
{
    nvl_auto(nvl_handing_close) struct nvl_handing h;
    const struct nvl_gpu *gpu;

    int r = nvl_handing_open(&h, request, handover, err);
    if (r == 0)
        r = find_gpu(&h, &gpu, err);
    return r == 0 ? lend_gpu(&h, gpu, err) : r;
}
