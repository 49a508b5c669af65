/* Finds what is lent, gives it to its driver, then to the containers. */
#include "lend/back.h"

#include <errno.h>
#include <stdio.h>

#include "base/paths.h"
#include "base/root.h"
#include "base/run.h"
#include "base/visit.h"
#include "grant/resolve.h"
#include "lend/holders.h"
#include "lend/notes.h"
#include "lend/rebind.h"

#define PREPARE_SECONDS 60

/* ---- which GPU ---- */

/* The number that it had when it was lent: today another GPU may have it. */
static bool is_meant(const struct nvl_loan *loan, const struct nvl_selector *s)
{
    char pci[NVL_PCI_MAX];

    if (s->kind == NVL_SELECT_INDEX)
        return loan->index >= 0 && (unsigned)loan->index == s->index;
    if (s->kind == NVL_SELECT_UUID)
        return loan->uuid[0] != '\0' && strcmp(loan->uuid, s->gpu) == 0;
    return s->kind == NVL_SELECT_PCI && nvl_pci_normalise(s->gpu, pci) && strcmp(loan->pci, pci) == 0;
}

static int refuse_choice(const struct nvl_strv *lent, const char *why, struct nvl_error *err)
{
    nvl_autofree char *list = nvl_strv_join(lent, "\n  ");

    nvl_error_usage(err, lent->count > 0 ? "%s; lent are:\n  %s" : "%s%s", why, lent->count > 0 ? list : "");
    if (lent->count > 0)
        nvl_error_hint(err, "nvlxc gpu back %s", lent->items[0]);
    else
        nvl_error_hint(err, "which GPUs there are, and what has them: nvlxc gpus");
    return err != NULL ? err->code : -EINVAL;
}

/* Among what is lent, then among what vfio-pci has: Proxmox VE takes a GPU without a word. */
static int find_lent(struct nvl_handing *h, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv lent = {0};
    const char *text = h->request->gpu;
    struct nvl_selector selector = {0};

    int r = nvl_notes_list(h->request->root, &lent, err);
    if (r == 0 && text != NULL)
        r = nvl_selector_parse(text, &selector, err);
    if (r < 0)
        return r;
    if (text == NULL && lent.count != 1)
        return refuse_choice(&lent, lent.count == 0 ? "no GPU is lent" : "more than one GPU is lent", err);
    for (size_t i = 0; i < lent.count; i++) {
        nvl_loan_clear(&h->loan);
        r = nvl_loan_read(h->request->root, lent.items[i], &h->loan);
        if (r == 0 && (text == NULL || is_meant(&h->loan, &selector)))
            return 0;
        if (r < 0 && text == NULL)
            return nvl_error_errno(err, r, "cannot read " NVL_LOANS_DIR "/%s", lent.items[i]);
    }
    nvl_loan_clear(&h->loan);
    const struct nvl_gpu *gpu = nvl_find_selected(&h->host.gpus, &selector);
    nvl_autofree char *why = nvl_xasprintf("the GPU %s is not lent", text);
    if (gpu == NULL || selector.kind == NVL_SELECT_MIG)
        return refuse_choice(&lent, why, err);
    h->loan = (struct nvl_loan){.index = -1};
    memcpy(h->loan.pci, gpu->pci, sizeof h->loan.pci);
    return 0;
}

/* ---- the way back ---- */

/* Who took the function for a VM did not say from whom: the driver that Linux has for its class. */
static const char *usual_driver(const struct nvl_function *function)
{
    switch (function->class >> 8) {
    case 0x0300: /* VGA */
    case 0x0302: /* 3D */
        return "nvidia";
    case 0x0403:
        return "snd_hda_intel";
    case 0x0c03:
        return "xhci_hcd";
    case 0x0c80: /* UCSI, by I2C */
        return "nvidia-gpu";
    default:
        return "";
    }
}

static const char *earlier_driver(const struct nvl_handing *h, const struct nvl_function *function)
{
    for (size_t i = 0; i < h->loan.n_functions; i++)
        if (strcmp(h->loan.functions[i].pci, function->pci) == 0)
            return h->loan.functions[i].driver;
    return usual_driver(function);
}

/* The GPU itself must come back; of the other functions it is said. */
static int return_function(struct nvl_handing *h, const struct nvl_function *function, struct nvl_error *err)
{
    const char *driver = earlier_driver(h, function);
    bool is_gpu = strcmp(function->pci, h->loan.pci) == 0;
    struct nvl_error own = {0};

    nvl_autofree char *what =
        nvl_xasprintf("giving %s back to %s", function->pci, driver[0] != '\0' ? driver : "no driver");
    nvl_handing_note(h, what);
    int r = driver[0] != '\0' && strcmp(driver, function->driver) != 0
                ? nvl_load_pci_driver(h->request->root, driver, &own)
                : 0;
    if (r == 0)
        r = nvl_rebind(h->request->root, function->pci, driver, false, &own);
    if (r == 0 && strcmp(driver, function->driver) != 0)
        nvl_handing_step(h, "%s: from %s to %s", function->pci,
                         function->driver[0] != '\0' ? function->driver : "no driver",
                         driver[0] != '\0' ? driver : "no driver");
    if (r < 0 && !is_gpu)
        nvl_strv_push(&h->report->problems, own.message);
    if (r < 0 && is_gpu && err != NULL)
        *err = own;
    return is_gpu ? r : 0;
}

/* Makes the host's nodes, as after a boot. */
static void prepare_host(struct nvl_handing *h)
{
    const char *const argv[] = {NVL_HOOK_PROGRAM, "--prepare", NULL};
    char text[256];

    if (!nvl_root_exists(h->request->root, NVL_HOOK_PROGRAM))
        return;
    int status = nvl_tool_run(argv, PREPARE_SECONDS, text, sizeof text);
    nvl_autofree char *why = nvl_status_text(status);
    if (status == 0)
        nvl_handing_step(h, "made the host's nodes");
    else
        nvl_strv_pushf(&h->report->problems, NVL_HOOK_PROGRAM " --prepare: %s", why);
}

int nvl_give_back(struct nvl_handing *h, struct nvl_error *err)
{
    nvl_card_clear(&h->card);
    int r = nvl_card_read(h->request->root, h->loan.pci, &h->card, err);

    if (h->loan.drained)
        nvl_handing_drain(h, false);
    for (size_t i = 0; i < h->card.count && r == 0; i++)
        r = return_function(h, &h->card.functions[i], err);
    if (r == 0 && h->loan.drained)
        nvl_handing_drain(h, false);
    /* last, so that what was killed before it is done again */
    if (r == 0 && h->loan.stopped_persistenced)
        nvl_handing_persistenced(h, "restart");
    if (r == 0)
        r = nvl_note_remove(h->request->root, h->loan.pci, err);
    if (r < 0)
        return r;
    prepare_host(h);
    r = nvl_handing_look(h, err);
    if (r == 0) {
        nvl_handing_note(h, "giving it to the containers");
        nvl_handing_update_containers(h);
    }
    return r;
}

static int check_free(const struct nvl_handing *h, struct nvl_error *err)
{
    nvl_auto(nvl_holders_clear) struct nvl_holders holders = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv what = {0};

    nvl_holders_of_files(h->request->root, &h->card.group_files, &h->containers, &holders);
    for (size_t i = 0; i < holders.count; i++) {
        nvl_autofree char *text = nvl_holder_text(&holders.items[i]);
        nvl_strv_push(&what, text);
    }
    if (what.count == 0)
        return 0;
    nvl_autofree char *list = nvl_strv_join(&what, "\n  ");
    nvl_error_host(err, -EBUSY, "%s is in a virtual machine now:\n  %s", h->report->gpu, list);
    if (h->loan.vm[0] != '\0')
        nvl_error_hint(err, "qm shutdown %s", h->loan.vm);
    else
        nvl_error_hint(err, "shut the virtual machine down first");
    return -EBUSY;
}

static void name_lent(struct nvl_handing *h)
{
    const struct nvl_loan *loan = &h->loan;

    memcpy(h->report->pci, loan->pci, sizeof h->report->pci);
    h->report->gpu = loan->index >= 0 ? nvl_xasprintf("GPU %d, %s (%s)", loan->index,
                                                      loan->model[0] != '\0' ? loan->model : "unknown model",
                                                      loan->uuid[0] != '\0' ? loan->uuid : loan->pci)
                                      : nvl_xasprintf("the GPU at %s", loan->pci);
}

int nvl_back(const struct nvl_handover_request *request, struct nvl_handover *handover, struct nvl_error *err)
{
    nvl_auto(nvl_handing_close) struct nvl_handing h;

    int r = nvl_handing_open(&h, request, handover, err);
    if (r == 0)
        r = find_lent(&h, err);
    if (r < 0)
        return r;
    name_lent(&h);
    r = nvl_card_read(request->root, h.loan.pci, &h.card, err);
    if (r == 0)
        r = check_free(&h, err);
    if (r < 0 || request->dry_run)
        return r;
    const struct nvl_gpu *gpu = nvl_gpu_by_pci(&h.host.gpus, h.loan.pci);
    handover->was_done = gpu != NULL && !gpu->is_lent && gpu->driver == NVL_GPU_NVIDIA;
    if (handover->was_done)
        return 0;
    if (gpu != NULL)
        nvl_handing_find_granted(&h, gpu);
    nvl_visit_writes();
    return nvl_give_back(&h, err);
}
