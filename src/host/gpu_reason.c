/* The texts for each state of a GPU, and where the state comes from. */
#include "host/gpu_reason.h"

#include <errno.h>
#include <stdio.h>

#include "base/paths.h"
#include "host/boot_commands.h"
#include "host/compat_table.h"
#include "host/pci.h"

#define SMALL_FILE (64u << 10)

const char nvl_gpu_lost_cause[] =
    "the GPU has fallen off the bus, nothing answers there (Xid 79 in the kernel's log): power, heat, a "
    "loose card or riser, or crashed firmware. Programs that use it fail or hang, and only a restart of the "
    "machine brings it back";
const char nvl_gpu_lost_fix[] =
    "journalctl -k -g 'NVRM|Xid'\nreboot   # if it happens again: check power, cooling and the slot";

/* As Linux' device tree names machines: "nvidia,p3737-0000+p3701-0000", "nvidia,tegra234", each with a NUL.
 */
static bool is_tegra(const struct nvl_root *root)
{
    static const char mark[] = "nvidia,tegra";
    nvl_autofree char *names = NULL;
    size_t len;

    return nvl_root_read(root, "/proc/device-tree/compatible", SMALL_FILE, &names, &len) == 0 &&
           memmem(names, len, mark, strlen(mark)) != NULL;
}

char *nvl_gpu_absence(const struct nvl_root *root, const char **hint)
{
    char model[128] = "";

    *hint = NULL;
    if (!is_tegra(root))
        return nvl_xstrdup("this host has no NVIDIA GPU");
    nvl_root_read_attribute(root, "/proc/device-tree/model", model, sizeof model);
    *hint = "only GPUs on PCI can be given; a Tegra's is for NVIDIA's container toolkit in its mode csv";
    return nvl_xasprintf(
        "this is %s, whose GPU is a part of the Tegra chip: nvlxc does not support its driver",
        model[0] != '\0' ? model : "a machine with Tegra");
}

int nvl_gpu_refuse_tegra(const struct nvl_root *root, struct nvl_error *err)
{
    const char *hint;
    nvl_autofree char *absence = nvl_gpu_absence(root, &hint);

    if (hint == NULL)
        return 0;
    nvl_error_host(err, -ENODEV, "%s", absence);
    nvl_error_hint(err, "%s", hint);
    return -ENODEV;
}

int nvl_gpu_refuse_absence(const struct nvl_root *root, const char *otherwise, struct nvl_error *err)
{
    const char *hint;

    if (nvl_gpu_refuse_tegra(root, err) < 0)
        return -ENODEV;
    nvl_autofree char *absence = nvl_gpu_absence(root, &hint);
    nvl_error_host(err, -ENODEV, "%s", absence);
    nvl_error_hint(err, "%s", otherwise);
    return -ENODEV;
}

static bool is_well(enum nvl_gpu_state state)
{
    return state == NVL_GPU_IS_USABLE || state == NVL_GPU_IS_MIG || state == NVL_GPU_IS_UNUSED;
}

int nvl_gpu_context_read(const struct nvl_host *host, struct nvl_gpu_context *context, struct nvl_error *err)
{
    bool all_driven = true, all_usable = true;

    *context = (struct nvl_gpu_context){0};
    for (size_t i = 0; i < host->gpus.count; i++) {
        all_driven = all_driven && host->gpus.items[i].driver == NVL_GPU_NVIDIA;
        all_usable = all_usable && is_well(nvl_gpu_state(&host->gpus.items[i]));
    }
    int r = all_driven ? 0 : nvl_support_read(host->root, &context->support, err);
    if (!all_usable) { /* the configuration tells why not; reading it costs a folder's worth of files */
        nvl_modprobe_read(host->root, &context->modprobe);
        nvl_system_read(host->root, &context->system, NULL);
    }
    nvl_vm_devices_read(host->root, &context->vms);
    context->surroundings =
        (struct nvl_gpu_surroundings){.host = host,
                                      .system = &context->system,
                                      .modprobe = &context->modprobe,
                                      .vms = &context->vms,
                                      .support = !all_driven && r == 0 ? &context->support : NULL,
                                      .version = host->driver.version,
                                      .flavour = host->driver.flavour};
    return r;
}

void nvl_gpu_context_clear(struct nvl_gpu_context *context)
{
    nvl_system_clear(&context->system);
    nvl_modprobe_clear(&context->modprobe);
    nvl_support_clear(&context->support);
    nvl_vm_devices_clear(&context->vms);
}

static void set_what(struct nvl_gpu_reason *r, char *what, char *cause)
{
    r->what = what;
    r->cause = cause;
}

static void add_fix_lines(struct nvl_strv *to, const char *text)
{
    nvl_strv_split(to, text, "\n");
}

/* The driver link of sysfs, unchanged. */
static void add_driver_link(struct nvl_strv *evidence, const struct nvl_root *root, const struct nvl_gpu *gpu)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_PCI_DEVICES "/%s/driver", gpu->pci), *target = NULL;

    if (nvl_root_readlink(root, path, &target) == 0)
        nvl_strv_pushf(evidence, "%s -> %s", path, target);
    else
        nvl_strv_pushf(evidence, "%s does not exist", path);
}

static void add_first_line(struct nvl_strv *evidence, const struct nvl_root *root, const char *path)
{
    nvl_autofree char *text = NULL;
    size_t len;

    if (nvl_root_read(root, path, SMALL_FILE, &text, &len) == 0)
        nvl_strv_pushf(evidence, "%s: %.*s", path, (int)strcspn(text, "\n"), text);
}

/* ---- held by another driver ---- */

static void explain_rival(const struct nvl_gpu_surroundings *s, const struct nvl_gpu *gpu,
                          const char *blacklist, struct nvl_gpu_reason *r)
{
    set_what(r, nvl_xasprintf("is held by %s, so NVIDIA's driver cannot use it", gpu->driver_name),
             nvl_xasprintf("a GPU has one driver at a time, and %s came first. NVIDIA's module then reports "
                           "\"The NVIDIA probe routine was not called\" and finds no GPU",
                           gpu->driver_name));
    if (blacklist != NULL) {
        nvl_strv_pushf(&r->fix, "printf '%s' >> " NVL_MODPROBE_FILE, blacklist);
        nvl_add_boot_commands(s->system, NVL_BOOT_INITRAMFS, &r->fix);
        nvl_strv_push(&r->fix, "reboot");
    } else {
        nvl_strv_pushf(&r->fix, "echo %s > " NVL_PCI_DEVICES "/%s/driver/unbind", gpu->pci, gpu->pci);
        nvl_strv_push(&r->fix, "modprobe nvidia");
    }
}

/* What binds the GPU to that driver, and what also keeps NVIDIA's driver away: both must go. */
static void add_claims_of_driver(const struct nvl_gpu_surroundings *s, const struct nvl_gpu *gpu,
                                 struct nvl_gpu_reason *r)
{
    nvl_autofree char *override = nvl_xasprintf(NVL_PCI_DEVICES "/%s/driver_override", gpu->pci);
    char name[64];

    nvl_gpu_claims_read(s->host->root, s->modprobe, s->vms, gpu, gpu->driver_name, &r->claims);
    bool is_found = r->claims.count > 0;
    if (!is_found && nvl_root_read_attribute(s->host->root, override, name, sizeof name) == 0 &&
        strcmp(name, gpu->driver_name) == 0)
        nvl_strv_pushf(&r->evidence, "%s: %s", override, name);
    nvl_nvidia_barriers_read(s->host->root, s->modprobe, &r->claims);
    nvl_claims_evidence(&r->claims, &r->evidence);
    if (is_found) {
        nvl_strv_clear(&r->fix);
        nvl_claims_fix(&r->claims, s->system, true, &r->fix);
    }
}

static bool is_found(const struct nvl_gpu_reason *r)
{
    return r->fix.count > 0;
}

static void explain_vfio(const struct nvl_gpu_surroundings *s, const struct nvl_gpu *gpu,
                         struct nvl_gpu_reason *r)
{
    static const char both[] = "a GPU serves one virtual machine or any number of containers, not both: "
                               "NVIDIA's driver on this host cannot use it";

    add_claims_of_driver(s, gpu, r);
    set_what(r, nvl_xstrdup("is held by vfio-pci, for a virtual machine"),
             is_found(r) ? nvl_xstrdup(both)
                         : nvl_xasprintf("%s. What gave it to vfio-pci was not found: no line of modprobe.d, "
                                         "the kernel's command line, udev's rules, driverctl, the "
                                         "initramfs's scripts or a VM of Proxmox VE names this GPU",
                                         both));
}

static void explain_held(const struct nvl_gpu_surroundings *s, const struct nvl_gpu *gpu,
                         struct nvl_gpu_reason *r)
{
    add_driver_link(&r->evidence, s->host->root, gpu);
    if (gpu->driver == NVL_GPU_VFIO) {
        explain_vfio(s, gpu, r);
    } else if (gpu->driver == NVL_GPU_NOUVEAU) {
        explain_rival(s, gpu, "blacklist nouveau\\n", r);
    } else if (gpu->driver == NVL_GPU_NOVA) {
        explain_rival(s, gpu, "blacklist nova_core\\nblacklist nova_drm\\n", r);
    } else {
        explain_rival(s, gpu, NULL, r);
        add_claims_of_driver(s, gpu, r); /* pci-stub takes ids like vfio-pci */
    }
}

/* ---- without a driver ---- */

static const struct {
    const char *what, *cause;
} unfit[] = {
    [NVL_GPU_TOO_NEW] =
        {"is newer than the driver",
         "this version of the driver does not know the GPU and ignores it (\"NVRM: No NVIDIA GPU found\")"},
    [NVL_GPU_TOO_OLD] = {"is too old for the driver",
                         "this version of the driver no longer supports the GPU and ignores it"},
    [NVL_GPU_NEEDS_OPEN] = {"needs the other flavor of the kernel module",
                            "the open kernel modules drive only GPUs with a GSP (Turing and newer); the "
                            "proprietary ones drive none from Blackwell on"},
    [NVL_GPU_NEEDS_PROPRIETARY] = {"needs the other flavor of the kernel module",
                                   "the open kernel modules drive only GPUs with a GSP (Turing and newer); "
                                   "the proprietary ones drive none from Blackwell on"},
};

void nvl_gpu_explain_fit(const struct nvl_gpu_surroundings *s, const struct nvl_gpu *gpu,
                         enum nvl_gpu_fit fit, struct nvl_gpu_reason *r)
{
    const struct nvl_generation *g = nvl_support_generation(s->support, gpu->pci_device);
    const char *flavour = nvl_flavour_name(s->flavour);

    *r = (struct nvl_gpu_reason){.state = NVL_GPU_IS_UNSUPPORTED, .fit = fit};
    set_what(r, nvl_xstrdup(unfit[fit].what), nvl_xstrdup(unfit[fit].cause));
    nvl_strv_pushf(&r->evidence, "PCI device id 10de:%04x is of the generation %s", gpu->pci_device, g->name);
    nvl_strv_pushf(&r->evidence, "driver %s%s%s%s%s%s%s%s%s", s->version, flavour != NULL ? " (" : "",
                   flavour != NULL ? flavour : "", flavour != NULL ? ")" : "",
                   g->first != NULL ? "; it needs " : "", g->first != NULL ? g->first : "",
                   g->first != NULL ? " or newer" : "", g->last != NULL ? "; the last branch for it is " : "",
                   g->last != NULL ? g->last : "");
}

static void explain_refused(const struct nvl_gpu_surroundings *s, const struct nvl_gpu *gpu,
                            struct nvl_gpu_reason *r)
{
    set_what(r, nvl_xstrdup("has no driver, though NVIDIA's is loaded: it did not take the GPU"),
             nvl_xstrdup("the kernel's log tells why: a GPU without power or with too little room for its "
                         "memory (BAR), one that this version does not know, or one that was unbound"));
    add_driver_link(&r->evidence, s->host->root, gpu);
    add_first_line(&r->evidence, s->host->root, "/proc/driver/nvidia/version");
    nvl_strv_push(&r->fix, "journalctl -k -g NVRM");
    nvl_strv_pushf(&r->fix, "echo %s > /sys/bus/pci/drivers/nvidia/bind", gpu->pci);
}

static void explain_unloaded(const struct nvl_gpu_surroundings *s, const struct nvl_gpu *gpu,
                             struct nvl_gpu_reason *r)
{
    nvl_auto(nvl_claims_clear) struct nvl_claims barriers = {0};

    nvl_nvidia_barriers_read(s->host->root, s->modprobe, &barriers);
    add_driver_link(&r->evidence, s->host->root, gpu);
    nvl_claims_evidence(&barriers, &r->evidence);
    nvl_claims_fix(&barriers, s->system, false, &r->fix);
    set_what(r, nvl_xstrdup("has no driver: no NVIDIA driver is loaded"),
             nvl_xstrdup(barriers.count > 0 ? "this host's configuration keeps it from loading"
                                            : "it is not installed, or was not loaded since the boot"));
    if (barriers.count > 0)
        nvl_strv_push(&r->fix, "modprobe nvidia");
    nvl_strv_push(&r->fix, "nvlxc doctor   # which part of the driver is missing");
}

static bool is_unfit(enum nvl_gpu_fit fit)
{
    return fit != NVL_GPU_UNKNOWN && fit != NVL_GPU_FITS;
}

static void explain_undriven(const struct nvl_gpu_surroundings *s, const struct nvl_gpu *gpu,
                             struct nvl_gpu_reason *r)
{
    if (is_unfit(r->fit))
        nvl_gpu_explain_fit(s, gpu, r->fit, r);
    else if (s->host->driver.loaded)
        explain_refused(s, gpu, r);
    else
        explain_unloaded(s, gpu, r);
}

/* ---- driven by nvidia ---- */

static void explain_excluded(const struct nvl_gpu_surroundings *s, const struct nvl_gpu *gpu,
                             struct nvl_gpu_reason *r)
{
    nvl_auto(nvl_modprobe_lines_clear) struct nvl_modprobe_lines lines = {0};

    set_what(r, nvl_xstrdup("is excluded from use by the driver's options"),
             nvl_xstrdup("the driver's option NVreg_ExcludedGpus names it: no program can use it"));
    nvl_strv_pushf(&r->evidence, "/proc/driver/nvidia/gpus/%s/information: GPU Excluded: Yes", gpu->pci);
    nvl_modprobe_find(s->modprobe, "options", "nvidia", &lines);
    nvl_modprobe_find(s->modprobe, "options", "nvidia-current", &lines);
    for (size_t i = 0; i < lines.count; i++)
        if (strstr(lines.items[i].text, "NVreg_ExcludedGpus") != NULL) {
            nvl_strv_pushf(&r->evidence, "%s:%zu: %s", lines.items[i].file, lines.items[i].number,
                           lines.items[i].text);
            nvl_strv_pushf(&r->fix, "sed -i 's/ *NVreg_ExcludedGpus=[^ ]*//' %s", lines.items[i].file);
        }
    if (r->fix.count == 0)
        nvl_strv_push(
            &r->fix, "remove NVreg_ExcludedGpus from the driver's options (modprobe.d, kernel command line)");
    nvl_add_boot_commands(s->system, NVL_BOOT_INITRAMFS, &r->fix);
    nvl_strv_push(&r->fix, "reboot");
}

/* The line in which the driver prints question marks, or nothing. */
static void add_uuid_line(struct nvl_strv *evidence, const struct nvl_root *root, const struct nvl_gpu *gpu)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/driver/nvidia/gpus/%s/information", gpu->pci);
    nvl_autofree char *text = NULL;
    const char *line, *value = "not there";
    size_t len, line_len, value_len = strlen(value), pos = 0;

    if (nvl_root_read(root, path, SMALL_FILE, &text, &len) == 0)
        while (nvl_next_line(text, len, &pos, &line, &line_len))
            if (nvl_line_value(line, line_len, "GPU UUID", &value, &value_len))
                break;
    nvl_strv_pushf(evidence, "%s: GPU UUID: %.*s", path, (int)value_len, value);
}

static void explain_silent(const struct nvl_gpu_surroundings *s, const struct nvl_gpu *gpu,
                           struct nvl_gpu_reason *r)
{
    set_what(r, nvl_xstrdup("does not come up: the driver reports no UUID for it, though it was used"),
             nvl_xstrdup("the driver learns the UUID when it initializes the GPU, and that failed: the "
                         "kernel's log tells why (\"RmInitAdapter failed\", an Xid)"));
    add_uuid_line(&r->evidence, s->host->root, gpu);
    nvl_strv_push(&r->fix, "journalctl -k -g 'NVRM|Xid'");
    nvl_strv_push(
        &r->fix,
        "reboot   # if it stays so: check power, the slot, and whether the driver supports this GPU");
}

static void explain_lost(const struct nvl_gpu *gpu, struct nvl_gpu_reason *r)
{
    set_what(r, nvl_xstrdup("has fallen off the bus"), nvl_xstrdup(nvl_gpu_lost_cause));
    nvl_strv_pushf(&r->evidence, NVL_PCI_DEVICES "/%s/config reads all 0xff", gpu->pci);
    add_fix_lines(&r->fix, nvl_gpu_lost_fix);
}

static void explain_unnumbered(const struct nvl_gpu *gpu, struct nvl_gpu_reason *r)
{
    set_what(r, nvl_xstrdup("has no device minor"),
             nvl_xstrdup("the driver lists the GPU but did not set it up: the kernel's log tells why"));
    nvl_strv_pushf(&r->evidence, "/proc/driver/nvidia/gpus/%s/information has no Device Minor", gpu->pci);
    nvl_strv_push(&r->fix, "journalctl -k -g 'NVRM|Xid'");
}

static void explain_virtual(const struct nvl_gpu *gpu, struct nvl_gpu_reason *r)
{
    set_what(r, nvl_xasprintf("is a virtual function of the GPU at %s, not a GPU of its own", gpu->physical),
             nvl_xstrdup("virtual functions are for virtual machines; a container gets the GPU itself"));
    nvl_strv_pushf(&r->evidence, NVL_PCI_DEVICES "/%s/physfn leads to %s", gpu->pci, gpu->physical);
}

static void explain_lent(const struct nvl_gpu *gpu, struct nvl_gpu_reason *r)
{
    set_what(r,
             gpu->lent_to[0] != '\0' ? nvl_xasprintf("is lent to VM %s", gpu->lent_to)
                                     : nvl_xstrdup("is lent to a virtual machine"),
             nvl_xstrdup("a GPU serves one virtual machine or any number of containers, not both. When it "
                         "comes back, running containers that are granted it get it without a restart"));
    nvl_strv_pushf(&r->evidence, NVL_LOANS_DIR "/%s exists: `nvlxc gpu lend` made it", gpu->pci);
    nvl_strv_pushf(&r->fix, "nvlxc gpu back %s", gpu->pci);
}

/* ---- all ---- */

static void explain_state(const struct nvl_gpu_surroundings *s, const struct nvl_gpu *gpu,
                          struct nvl_gpu_reason *r)
{
    switch (r->state) {
    case NVL_GPU_IS_LENT:
        explain_lent(gpu, r);
        break;
    case NVL_GPU_IS_HELD:
        explain_held(s, gpu, r);
        break;
    case NVL_GPU_IS_UNDRIVEN:
        explain_undriven(s, gpu, r);
        break;
    case NVL_GPU_IS_EXCLUDED:
        explain_excluded(s, gpu, r);
        break;
    case NVL_GPU_IS_SILENT:
        explain_silent(s, gpu, r);
        break;
    case NVL_GPU_IS_LOST:
        explain_lost(gpu, r);
        break;
    case NVL_GPU_IS_UNNUMBERED:
        explain_unnumbered(gpu, r);
        break;
    case NVL_GPU_IS_VIRTUAL:
    case NVL_GPU_IS_UNSUPPORTED:
    case NVL_GPU_IS_USABLE:
    case NVL_GPU_IS_MIG:
    case NVL_GPU_IS_UNUSED:
        break;
    }
}

void nvl_gpu_explain(const struct nvl_gpu_surroundings *s, const struct nvl_gpu *gpu,
                     struct nvl_gpu_reason *r)
{
    *r = (struct nvl_gpu_reason){.state = nvl_gpu_state(gpu), .fit = NVL_GPU_UNKNOWN};
    if (r->state == NVL_GPU_IS_VIRTUAL) {
        explain_virtual(gpu, r);
        return;
    }
    if (gpu->driver != NVL_GPU_NVIDIA && s->support != NULL)
        r->fit =
            nvl_generation_fits(nvl_support_generation(s->support, gpu->pci_device), s->version, s->flavour);
    explain_state(s, gpu, r);
    if (gpu->driver == NVL_GPU_VFIO)
        return; /* its claims are the reasons */
    nvl_claims_clear(&r->claims);
    nvl_vm_claims_read(s->vms, gpu, &r->claims);
}

void nvl_gpu_reason_clear(struct nvl_gpu_reason *r)
{
    free(r->what);
    free(r->cause);
    nvl_strv_clear(&r->evidence);
    nvl_strv_clear(&r->fix);
    nvl_claims_clear(&r->claims);
    *r = (struct nvl_gpu_reason){0};
}

char *nvl_vm_claim_text(const struct nvl_claim *claim)
{
    const struct nvl_vm_device *vm = claim->vm;

    return nvl_xasprintf("VM %s names it too (%s%s%s): when that VM starts, Proxmox VE takes the GPU away "
                         "from NVIDIA's driver, and from the containers that use it",
                         vm->vm, vm->key, vm->starts_at_boot ? "; starts at boot" : "",
                         vm->runs ? "; runs" : "");
}
