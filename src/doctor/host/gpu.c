/* Is there a GPU, what holds it, and does the driver know it. */
#include "doctor/families.h"
#include "doctor/host/shared.h"
#include "host/gpu_reason.h"
#include "host/xid.h"
#include "driver/replace.h"

#define PCI_FOLDER "/sys/bus/pci/devices"

/* "0000:01:00.0 (10de:2438)", with the model if the driver has reported it; the caller frees. */
static char *gpu_name(const struct nvl_gpu *gpu)
{
    if (gpu->model[0] != '\0')
        return nvl_xasprintf("%s (%s)", gpu->pci, gpu->model);
    return nvl_xasprintf("%s (10de:%04x)", gpu->pci, gpu->pci_device);
}

static struct nvl_finding *add_gpu_finding(struct nvl_findings *findings, const struct nvl_check *check,
                                           enum nvl_severity severity, const struct nvl_host_facts *facts,
                                           const struct nvl_gpu *gpu, const char *what)
{
    nvl_autofree char *name = gpu_name(gpu);
    nvl_autofree char *title = nvl_xasprintf("GPU %s %s", name, what);
    struct nvl_finding *f = nvl_host_finding(findings, check, severity, title);

    nvl_finding_about_gpu(f, facts, gpu);
    return f;
}

/* Adds a finding with the texts of the GPU's reason. */
static struct nvl_finding *add_reason(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                      size_t i, enum nvl_severity severity, struct nvl_findings *findings)
{
    const struct nvl_gpu_reason *r = &facts->reasons[i];
    struct nvl_finding *f =
        add_gpu_finding(findings, check, severity, facts, &facts->host.gpus.items[i], r->what);

    nvl_finding_evidence_lines(f, &r->evidence);
    nvl_finding_cause(f, "%s", r->cause);
    if (severity != NVL_SEVERITY_NOTE)
        nvl_finding_fix_lines(f, &r->fix);
    return f;
}

static void check_gpu_absent(const struct nvl_check *check, const struct nvl_host_facts *facts,
                             struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv devices = {0};

    if (facts->host.gpus.count > 0)
        return;
    const char *hint;
    nvl_autofree char *absence = nvl_gpu_absence(facts->root, &hint);
    if (hint != NULL) {
        nvl_finding_cause(nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, absence), "%s", hint);
        return;
    }
    nvl_root_list(facts->root, PCI_FOLDER, &devices);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, absence);
    nvl_finding_evidence(
        f, "none of the %zu devices in " PCI_FOLDER " has vendor 0x10de and class display (0x03…)",
        devices.count);
    nvl_finding_cause(f, "the machine does not see a GPU: it is not plugged in, the firmware or a lack of "
                         "power turns it off, or it is not passed through to this virtual machine. "
                         "Containers use the host's kernel, so the host must see the GPU first");
    nvl_finding_fix(f, "lspci -nn -d 10de:\n"
                       "in a virtual machine: pass the GPU through to it (Proxmox VE: qm set VMID --hostpci0 "
                       "ADDRESS, on its host)");
}

/* `module` is the holder's, whose blacklist and initramfs this explains; NULL for none. */
static void say_held(const struct nvl_check *check, const struct nvl_host_facts *facts,
                     enum nvl_gpu_driver driver, const char *module, enum nvl_severity severity,
                     struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->host.gpus.count; i++) {
        if (facts->reasons[i].state != NVL_GPU_IS_HELD || facts->host.gpus.items[i].driver != driver)
            continue;
        struct nvl_finding *f = add_reason(check, facts, i, severity, findings);
        if (module != NULL)
            nvl_finding_explains(f, NVL_SUBJECT_MODULE, module);
    }
}

static void check_gpu_nouveau(const struct nvl_check *check, const struct nvl_host_facts *facts,
                              struct nvl_findings *findings)
{
    say_held(check, facts, NVL_GPU_NOUVEAU, "nouveau", NVL_SEVERITY_ERROR, findings);
}

static void check_gpu_nova(const struct nvl_check *check, const struct nvl_host_facts *facts,
                           struct nvl_findings *findings)
{
    say_held(check, facts, NVL_GPU_NOVA, "nova_core", NVL_SEVERITY_ERROR, findings);
}

static void check_gpu_other_driver(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                   struct nvl_findings *findings)
{
    say_held(check, facts, NVL_GPU_OTHER_DRIVER, NULL, NVL_SEVERITY_ERROR, findings);
}

/* Beside a GPU that works this is intended; without one it is what stands in the way. */
static enum nvl_severity severity_of_absence(const struct nvl_host_facts *facts)
{
    return nvl_any_gpu_works(facts) ? NVL_SEVERITY_NOTE : NVL_SEVERITY_ERROR;
}

static void check_gpu_vfio(const struct nvl_check *check, const struct nvl_host_facts *facts,
                           struct nvl_findings *findings)
{
    say_held(check, facts, NVL_GPU_VFIO, NULL, severity_of_absence(facts), findings);
}

static void say_state(const struct nvl_check *check, const struct nvl_host_facts *facts,
                      enum nvl_gpu_state state, enum nvl_severity severity, struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->host.gpus.count; i++)
        if (facts->reasons[i].state == state)
            add_reason(check, facts, i, severity, findings);
}

/* Lent on purpose, also where it is the only one. */
static void check_gpu_lent(const struct nvl_check *check, const struct nvl_host_facts *facts,
                           struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->host.gpus.count; i++)
        if (facts->reasons[i].state == NVL_GPU_IS_LENT)
            nvl_finding_fix_lines(add_reason(check, facts, i, NVL_SEVERITY_NOTE, findings),
                                  &facts->reasons[i].fix);
}

static void check_gpu_lost(const struct nvl_check *check, const struct nvl_host_facts *facts,
                           struct nvl_findings *findings)
{
    say_state(check, facts, NVL_GPU_IS_LOST, NVL_SEVERITY_ERROR, findings);
}

static void check_gpu_silent(const struct nvl_check *check, const struct nvl_host_facts *facts,
                             struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->host.gpus.count; i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
        if (facts->reasons[i].state != NVL_GPU_IS_SILENT)
            continue;
        struct nvl_finding *f = add_reason(check, facts, i, NVL_SEVERITY_ERROR, findings);
        nvl_strv_push(&evidence, f->evidence);
        nvl_strv_pushf(&evidence, "container %s was started with it", facts->user_of_silent);
        nvl_finding_evidence_lines(f, &evidence);
    }
}

/* Who else claims it: what the start of that VM does, before it does so. */
static void check_machine_claims(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                 struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->host.gpus.count; i++) {
        const struct nvl_gpu *gpu = &facts->host.gpus.items[i];
        const struct nvl_claims *claims = &facts->reasons[i].claims;
        for (size_t c = 0; gpu->driver == NVL_GPU_NVIDIA && c < claims->count; c++) {
            const struct nvl_vm_device *vm = claims->items[c].vm;
            if (vm == NULL || vm->takes_turns)
                continue;
            bool matters = vm->starts_at_boot || vm->runs || facts->n_users > 0;
            nvl_autofree char *what = nvl_xasprintf("is claimed by VM %s, too", vm->vm);
            nvl_autofree char *text = nvl_vm_claim_text(&claims->items[c]);
            struct nvl_finding *f = add_gpu_finding(
                findings, check, matters ? NVL_SEVERITY_WARNING : NVL_SEVERITY_NOTE, facts, gpu, what);
            nvl_finding_evidence_lines(f, &claims->items[c].places);
            nvl_finding_cause(
                f, "%s. If they use it at that time, the start of the VM waits for them or fails", text);
            if (matters)
                nvl_finding_fix_lines(f, &claims->items[c].fix);
        }
    }
}

static void say_fit(const struct nvl_check *check, const struct nvl_host_facts *facts,
                    enum nvl_gpu_fit wanted, struct nvl_findings *findings)
{
    struct nvl_driver_need need = nvl_driver_need_of(facts);

    for (size_t i = 0; i < facts->host.gpus.count; i++) {
        nvl_auto(nvl_gpu_reason_clear) struct nvl_gpu_reason fit = {0};
        if (facts->reasons[i].fit != wanted)
            continue;
        const struct nvl_gpu *gpu = &facts->host.gpus.items[i];
        nvl_gpu_explain_fit(&facts->surroundings, gpu, wanted, &fit);
        struct nvl_finding *f = add_gpu_finding(findings, check, NVL_SEVERITY_ERROR, facts, gpu, fit.what);
        nvl_finding_evidence_lines(f, &fit.evidence);
        nvl_finding_cause(f, "%s", fit.cause);
        nvl_advise_gpu(&need, gpu, wanted, facts->surroundings.version, &fit.fix);
        nvl_finding_fix_lines(f, &fit.fix);
    }
}

static void check_gpu_too_new(const struct nvl_check *check, const struct nvl_host_facts *facts,
                              struct nvl_findings *findings)
{
    say_fit(check, facts, NVL_GPU_TOO_NEW, findings);
}

static void check_gpu_too_old(const struct nvl_check *check, const struct nvl_host_facts *facts,
                              struct nvl_findings *findings)
{
    say_fit(check, facts, NVL_GPU_TOO_OLD, findings);
}

static void check_gpu_flavour(const struct nvl_check *check, const struct nvl_host_facts *facts,
                              struct nvl_findings *findings)
{
    say_fit(check, facts, NVL_GPU_NEEDS_OPEN, findings);
    say_fit(check, facts, NVL_GPU_NEEDS_PROPRIETARY, findings);
}

static void check_gpu_refused(const struct nvl_check *check, const struct nvl_host_facts *facts,
                              struct nvl_findings *findings)
{
    say_state(check, facts, NVL_GPU_IS_UNDRIVEN, NVL_SEVERITY_ERROR, findings);
}

static void check_gpu_excluded(const struct nvl_check *check, const struct nvl_host_facts *facts,
                               struct nvl_findings *findings)
{
    say_state(check, facts, NVL_GPU_IS_EXCLUDED, severity_of_absence(facts), findings);
}

/* What a kind of Xid means, and what to do. A program's own fault is no fault of the host. */
static const struct xid_advice {
    enum nvl_severity severity;
    const char *cause, *fix;
} xid_advice[] = {
    [NVL_XID_BUS] = {NVL_SEVERITY_WARNING,
                     "the connection to the GPU failed: power, heat, a slot or a riser, or the GPU itself",
                     "journalctl -k -g 'NVRM|Xid|AER'\n"
                     "reboot   # if it happens again: check power, cooling and the slot"},
    [NVL_XID_MEMORY] =
        {NVL_SEVERITY_WARNING,
         "GPU memory had errors. A damaged part is replaced by a spare one at the next reset; "
         "if there are ever more of them, the card is about to fail",
         "nvidia-smi -q   # ECC errors, retired pages, remapped rows\nreboot   # resets the GPU"},
    [NVL_XID_FIRMWARE] =
        {NVL_SEVERITY_WARNING,
         "a processor inside the GPU stopped, or the firmware that the driver loads into it. "
         "Programs that use the GPU hang or fail until it is reset",
         "reboot   # resets the GPU\n"
         "nvlxc host --drivers   # other versions, if it happens again"},
    [NVL_XID_PROGRAM] = {NVL_SEVERITY_NOTE,
                         "mostly a program's own fault, and the GPU goes on. If many programs are affected, "
                         "their CUDA version, an overclocked GPU or its memory may be the reason",
                         NULL},
    [NVL_XID_OTHER] = {NVL_SEVERITY_NOTE, "NVIDIA's list of Xid errors says what the number means", NULL},
};

/* The kind of a GPU's Xids that matters most. */
static enum nvl_xid_kind worst_kind(const struct nvl_xids *xids, const char *pci)
{
    static const enum nvl_xid_kind kinds[] = {NVL_XID_BUS, NVL_XID_FIRMWARE, NVL_XID_MEMORY, NVL_XID_PROGRAM};

    for (size_t k = 0; k < NVL_LENGTH(kinds); k++)
        for (size_t i = 0; i < xids->count; i++) {
            const char *meaning;
            if (strcmp(xids->items[i].pci, pci) == 0 &&
                nvl_xid_kind(xids->items[i].number, &meaning) == kinds[k])
                return kinds[k];
        }
    return NVL_XID_OTHER;
}

/* "Xid 79 (the GPU has fallen off the bus), Xid 45 (…)", of one kind or, for NVL_XID_OTHER, what is unknown.
 */
static char *xids_text(const struct nvl_xids *xids, const char *pci, enum nvl_xid_kind kind)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv texts = {0};

    for (size_t i = 0; i < xids->count; i++) {
        const struct nvl_xid *xid = &xids->items[i];
        const char *meaning;
        if (strcmp(xid->pci, pci) == 0 && nvl_xid_kind(xid->number, &meaning) == kind)
            nvl_strv_pushf(&texts, meaning != NULL ? "Xid %u (%s)" : "Xid %u", xid->number, meaning);
    }
    return nvl_strv_join(&texts, ", ");
}

static void say_xids(const struct nvl_check *check, const struct nvl_host_facts *facts,
                     const struct nvl_xids *xids, const struct nvl_gpu *gpu, struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    enum nvl_xid_kind kind = worst_kind(xids, gpu->pci);
    const struct xid_advice *advice = &xid_advice[kind];
    nvl_autofree char *numbers = xids_text(xids, gpu->pci, kind);
    nvl_autofree char *what = nvl_xasprintf("has reported %s since the boot", numbers);

    for (size_t i = 0; i < xids->count; i++) {
        const struct nvl_xid *xid = &xids->items[i];
        if (strcmp(xid->pci, gpu->pci) == 0 && xid->count > 1)
            nvl_strv_pushf(&evidence, "%u times, at last: %s", xid->count, xid->last);
        else if (strcmp(xid->pci, gpu->pci) == 0)
            nvl_strv_push(&evidence, xid->last);
    }
    if (evidence.count == 0)
        return;
    struct nvl_finding *f = add_gpu_finding(findings, check, advice->severity, facts, gpu, what);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f, "%s", advice->cause);
    if (advice->fix != NULL)
        nvl_finding_fix(f, "%s", advice->fix);
}

/* Only root may read the log, and a captured host mostly lacks it. */
static void check_gpu_xid(const struct nvl_check *check, const struct nvl_host_facts *facts,
                          struct nvl_findings *findings)
{
    nvl_auto(nvl_xids_clear) struct nvl_xids xids = {0};

    if (nvl_xids_read(facts->root, &xids) < 0)
        nvl_findings_unanswered(findings, check, 0, NULL);
    for (size_t i = 0; i < facts->host.gpus.count; i++)
        say_xids(check, facts, &xids, &facts->host.gpus.items[i], findings);
}

const struct nvl_check nvl_gpu_checks[] = {
    {"gpu-absent", "Is there an NVIDIA GPU?", 10, 0, NULL, NVL_OF_HOST(check_gpu_absent)},
    {"gpu-nouveau", "Does nouveau leave the GPUs alone?", 20, 0, NULL, NVL_OF_HOST(check_gpu_nouveau)},
    {"gpu-nova", "Does nova_core leave the GPUs alone?", 30, 0, NULL, NVL_OF_HOST(check_gpu_nova)},
    {"gpu-vfio", "Is a GPU left for containers, not kept for virtual machines?", 40, 0, NULL,
     NVL_OF_HOST(check_gpu_vfio)},
    {"gpu-lent", "Is every GPU here, and not lent to a virtual machine?", 45, 0, NULL,
     NVL_OF_HOST(check_gpu_lent)},
    {"gpu-other-driver", "Are the GPUs free of other drivers?", 50, 0, NULL,
     NVL_OF_HOST(check_gpu_other_driver)},
    {"gpu-lost", "Does every GPU answer on its bus?", 53, 0, NULL, NVL_OF_HOST(check_gpu_lost)},
    {"gpu-silent", "Does every GPU that is used come up?", 56, NVL_NEEDS_LOADED | NVL_OF_GUESTS, NULL,
     NVL_OF_HOST(check_gpu_silent)},
    {"gpu-too-new", "Does the driver already know every GPU?", 60, 0, NULL, NVL_OF_HOST(check_gpu_too_new)},
    {"gpu-too-old", "Does the driver still know every GPU?", 70, 0, NULL, NVL_OF_HOST(check_gpu_too_old)},
    {"gpu-flavour", "Does the kernel module have the flavor that the GPUs need?", 80, 0, NULL,
     NVL_OF_HOST(check_gpu_flavour)},
    {"gpu-refused", "Does the loaded driver accept every GPU?", 90, NVL_NEEDS_LOADED,
     "gpu-too-new gpu-too-old gpu-flavour", NVL_OF_HOST(check_gpu_refused)},
    {"gpu-excluded", "Do the driver's options exclude no GPU?", 100, 0, NULL,
     NVL_OF_HOST(check_gpu_excluded)},
    {"gpu-virtual-machine", "Are the containers' GPUs free of claims by virtual machines?", 110,
     NVL_NEEDS_LOADED | NVL_OF_GUESTS, NULL, NVL_OF_HOST(check_machine_claims)},
    {"gpu-xid", "Has the driver reported no error of a GPU (Xid)?", 120, 0, "gpu-lost gpu-silent",
     NVL_OF_HOST(check_gpu_xid)},
    {0},
};
