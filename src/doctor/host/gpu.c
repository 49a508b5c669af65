/* Is there a GPU, what holds it, and does the driver know it. */
#include "doctor/families.h"
#include "doctor/host/shared.h"
#include "host/modprobe.h"

#define PCI_FOLDER  "/sys/bus/pci/devices"
#define QEMU_FOLDER "/etc/pve/qemu-server"
#define CONFIG_MAX  (1u << 20)

/* "0000:01:00.0 (10de:2438)", with the model where the driver has said it; the caller frees. */
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

/* The driver link of sysfs, as it stands there. */
static void add_driver_link(struct nvl_strv *evidence, const struct nvl_root *root, const struct nvl_gpu *gpu)
{
    nvl_autofree char *path = nvl_xasprintf(PCI_FOLDER "/%s/driver", gpu->pci), *target = NULL;

    if (nvl_root_readlink(root, path, &target) == 0)
        nvl_strv_pushf(evidence, "%s -> %s", path, target);
    else
        nvl_strv_pushf(evidence, "%s does not exist", path);
}

static void check_gpu_absent(const struct nvl_check *check, const struct nvl_host_facts *facts,
                             struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv devices = {0};

    if (facts->host.gpus.count > 0)
        return;
    nvl_root_list(facts->root, PCI_FOLDER, &devices);
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, "this host has no NVIDIA GPU");
    nvl_finding_evidence(
        f, "none of the %zu devices in " PCI_FOLDER " is of vendor 0x10de and class display (0x03…)",
        devices.count);
    nvl_finding_cause(f,
                      "the machine does not see one: it is not plugged in, is switched off by the firmware "
                      "or its power, or in a virtual machine it is not passed through. Containers use the "
                      "host's kernel, so the GPU has to be seen here first");
    nvl_finding_fix(f, "lspci -nn -d 10de:\n"
                       "in a virtual machine: pass the GPU through to it (Proxmox VE: qm set VMID --hostpci0 "
                       "ADDRESS, on its host)");
}

static void say_taken(const struct nvl_check *check, const struct nvl_host_facts *facts,
                      enum nvl_gpu_driver driver, const char *module, const char *blacklist,
                      struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->host.gpus.count; i++) {
        const struct nvl_gpu *gpu = &facts->host.gpus.items[i];
        nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
        if (gpu->driver != driver)
            continue;
        nvl_autofree char *what =
            nvl_xasprintf("is held by %s, so NVIDIA's driver cannot use it", gpu->driver_name);
        struct nvl_finding *f = add_gpu_finding(findings, check, NVL_SEVERITY_ERROR, facts, gpu, what);
        if (module != NULL)
            nvl_finding_explains(f, NVL_SUBJECT_MODULE, module);
        add_driver_link(&evidence, facts->root, gpu);
        nvl_finding_evidence_lines(f, &evidence);
        nvl_finding_cause(f,
                          "a GPU has one driver at a time, and %s came first. NVIDIA's module then reports "
                          "\"The NVIDIA probe routine was not called\" and finds no GPU",
                          gpu->driver_name);
        if (blacklist != NULL)
            nvl_finding_fix(f,
                            "printf '%s' > /etc/modprobe.d/nvlxc-blacklist.conf\n"
                            "update-initramfs -u -k all\nreboot",
                            blacklist);
        else
            nvl_finding_fix(f, "echo %s > " PCI_FOLDER "/%s/driver/unbind\nmodprobe nvidia", gpu->pci,
                            gpu->pci);
    }
}

static void check_gpu_nouveau(const struct nvl_check *check, const struct nvl_host_facts *facts,
                              struct nvl_findings *findings)
{
    say_taken(check, facts, NVL_GPU_NOUVEAU, "nouveau", "blacklist nouveau\\n", findings);
}

static void check_gpu_nova(const struct nvl_check *check, const struct nvl_host_facts *facts,
                           struct nvl_findings *findings)
{
    say_taken(check, facts, NVL_GPU_NOVA, "nova_core", "blacklist nova_core\\nblacklist nova_drm\\n",
              findings);
}

static void check_gpu_other_driver(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                   struct nvl_findings *findings)
{
    say_taken(check, facts, NVL_GPU_OTHER_DRIVER, NULL, NULL, findings);
}

/* The lines that gave the GPU to vfio-pci, and how to take each back. */
static void find_vfio_reasons(const struct nvl_host_facts *facts, const struct nvl_gpu *gpu,
                              struct nvl_strv *evidence, struct nvl_strv *fix)
{
    nvl_auto(nvl_modprobe_lines_clear) struct nvl_modprobe_lines lines = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv machines = {0};
    nvl_autofree char *id = nvl_xasprintf("10de:%04x", gpu->pci_device);
    nvl_autofree char *slot = nvl_xstrndup(gpu->pci, strcspn(gpu->pci, ".")); /* all functions */
    const char *short_slot = strchr(slot, ':') + 1;                           /* "01:00" */

    nvl_modprobe_find(&facts->modprobe, "options", "vfio-pci", &lines);
    for (size_t i = 0; i < lines.count; i++)
        if (strcasestr(lines.items[i].text, id) != NULL) {
            nvl_strv_pushf(evidence, "%s: %s", lines.items[i].file, lines.items[i].text);
            nvl_strv_pushf(fix, "sed -i 's/%s,\\{0,1\\}//I' %s", id, lines.items[i].file);
        }
    nvl_root_list(facts->root, QEMU_FOLDER, &machines);
    for (size_t i = 0; i < machines.count; i++) {
        nvl_autofree char *path = nvl_xasprintf(QEMU_FOLDER "/%s", machines.items[i]), *text = NULL;
        size_t len, pos = 0, line_len;
        const char *line;
        if (nvl_root_read(facts->root, path, CONFIG_MAX, &text, &len) < 0)
            continue;
        while (nvl_next_line(text, len, &pos, &line, &line_len) && (line_len == 0 || line[0] != '['))
            if (line_len > 7 && memcmp(line, "hostpci", 7) == 0 &&
                memmem(line, line_len, short_slot, strlen(short_slot)) != NULL) {
                nvl_strv_pushf(evidence, "%s: %.*s", path, (int)line_len, line);
                nvl_strv_pushf(fix, "qm set %.*s --delete %.*s", (int)strcspn(machines.items[i], "."),
                               machines.items[i], (int)strcspn(line, ":"), line);
            }
    }
}

/* Beside a GPU that works it is meant so; alone it is what stands in the way. */
static void check_gpu_vfio(const struct nvl_check *check, const struct nvl_host_facts *facts,
                           struct nvl_findings *findings)
{
    bool alone = !nvl_any_gpu_works(&facts->host.gpus);

    for (size_t i = 0; i < facts->host.gpus.count; i++) {
        const struct nvl_gpu *gpu = &facts->host.gpus.items[i];
        nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
        if (gpu->driver != NVL_GPU_VFIO)
            continue;
        struct nvl_finding *f =
            add_gpu_finding(findings, check, alone ? NVL_SEVERITY_ERROR : NVL_SEVERITY_NOTE, facts, gpu,
                            "is held by vfio-pci, for a virtual machine");
        add_driver_link(&evidence, facts->root, gpu);
        find_vfio_reasons(facts, gpu, &evidence, &fix);
        nvl_finding_evidence_lines(f, &evidence);
        nvl_finding_cause(f, "a GPU goes to one virtual machine or to any number of containers, not to both: "
                             "NVIDIA's driver on this host cannot use it");
        if (!alone)
            continue;
        nvl_strv_push(&fix, "update-initramfs -u -k all");
        nvl_strv_push(&fix, "reboot");
        nvl_finding_fix_lines(f, &fix);
    }
}

/* What to install for a generation that the driver does not fit; the caller frees. */
static char *right_driver(const struct nvl_generation *g, enum nvl_gpu_fit fit)
{
    const char *flavour = g->proprietary ? "" : " with the open kernel modules";

    switch (fit) {
    case NVL_GPU_TOO_NEW:
        return nvl_xasprintf("install NVIDIA's driver %s or newer%s", g->first, flavour);
    case NVL_GPU_TOO_OLD:
        return nvl_xasprintf("install a driver of branch %s, the last one for %s", g->last, g->name);
    case NVL_GPU_NEEDS_OPEN:
        return nvl_xstrdup("apt install nvidia-open-kernel-dkms\nreboot");
    case NVL_GPU_NEEDS_PROPRIETARY:
        return nvl_xstrdup("apt install nvidia-kernel-dkms\nreboot");
    case NVL_GPU_UNKNOWN:
    case NVL_GPU_FITS:
        break;
    }
    return NULL;
}

static void judge_gpu_fit(const struct nvl_check *check, const struct nvl_host_facts *facts,
                          struct nvl_findings *findings, enum nvl_gpu_fit wanted, enum nvl_gpu_fit or_wanted,
                          const char *what, const char *cause)
{
    enum nvl_flavour flavour;
    const char *version = nvl_driver_in_question(facts, &flavour);
    nvl_autofree char *driver = nvl_driver_text(version, flavour);

    for (size_t i = 0; i < facts->host.gpus.count; i++) {
        const struct nvl_gpu *gpu = &facts->host.gpus.items[i];
        if (gpu->driver == NVL_GPU_NVIDIA)
            continue;
        const struct nvl_generation *g = nvl_support_generation(&facts->support, gpu->pci_device);
        enum nvl_gpu_fit fit = nvl_generation_fits(g, version, flavour);
        if (fit != wanted && fit != or_wanted)
            continue;
        nvl_autofree char *fix = right_driver(g, fit);
        struct nvl_finding *f = add_gpu_finding(findings, check, NVL_SEVERITY_ERROR, facts, gpu, what);
        nvl_finding_evidence(f, "PCI device id 10de:%04x is of the generation %s\ndriver %s%s%s%s%s%s",
                             gpu->pci_device, g->name, driver, g->first != NULL ? "; it needs " : "",
                             g->first != NULL ? g->first : "", g->first != NULL ? " or newer" : "",
                             g->last != NULL ? "; the last branch for it is " : "",
                             g->last != NULL ? g->last : "");
        nvl_finding_cause(f, "%s", cause);
        nvl_finding_fix(f, "%s", fix);
    }
}

static void check_gpu_too_new(const struct nvl_check *check, const struct nvl_host_facts *facts,
                              struct nvl_findings *findings)
{
    judge_gpu_fit(
        check, facts, findings, NVL_GPU_TOO_NEW, NVL_GPU_TOO_NEW, "is newer than the driver",
        "this version of the driver does not know the GPU and leaves it alone (\"NVRM: No NVIDIA GPU "
        "found\")");
}

static void check_gpu_too_old(const struct nvl_check *check, const struct nvl_host_facts *facts,
                              struct nvl_findings *findings)
{
    judge_gpu_fit(check, facts, findings, NVL_GPU_TOO_OLD, NVL_GPU_TOO_OLD, "is too old for the driver",
                  "this version of the driver no longer knows the GPU and leaves it alone");
}

static void check_gpu_flavour(const struct nvl_check *check, const struct nvl_host_facts *facts,
                              struct nvl_findings *findings)
{
    judge_gpu_fit(
        check, facts, findings, NVL_GPU_NEEDS_OPEN, NVL_GPU_NEEDS_PROPRIETARY,
        "needs the other flavour of the kernel module",
        "the open kernel modules drive GPUs with a GSP alone (Turing and newer), the proprietary ones "
        "none from Blackwell on");
}

static void check_gpu_refused(const struct nvl_check *check, const struct nvl_host_facts *facts,
                              struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->host.gpus.count; i++) {
        const struct nvl_gpu *gpu = &facts->host.gpus.items[i];
        nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
        if (gpu->driver != NVL_GPU_NO_DRIVER)
            continue;
        struct nvl_finding *f =
            add_gpu_finding(findings, check, NVL_SEVERITY_ERROR, facts, gpu,
                            "has no driver, though NVIDIA's is loaded: it did not take the GPU");
        add_driver_link(&evidence, facts->root, gpu);
        nvl_add_first_line(&evidence, facts->root, "/proc/driver/nvidia/version");
        nvl_finding_evidence_lines(f, &evidence);
        nvl_finding_cause(f, "the kernel's log says why: a GPU without power or with too little room for its "
                             "memory (BAR), one that this version does not know, or one that was unbound");
        nvl_finding_fix(f, "journalctl -k -g NVRM\necho %s > /sys/bus/pci/drivers/nvidia/bind", gpu->pci);
    }
}

static void check_gpu_excluded(const struct nvl_check *check, const struct nvl_host_facts *facts,
                               struct nvl_findings *findings)
{
    bool alone = !nvl_any_gpu_works(&facts->host.gpus);
    nvl_auto(nvl_modprobe_lines_clear) struct nvl_modprobe_lines lines = {0};

    nvl_modprobe_find(&facts->modprobe, "options", "nvidia", &lines);
    nvl_modprobe_find(&facts->modprobe, "options", "nvidia-current", &lines);
    for (size_t i = 0; i < facts->host.gpus.count; i++) {
        const struct nvl_gpu *gpu = &facts->host.gpus.items[i];
        nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
        if (!gpu->excluded)
            continue;
        struct nvl_finding *f =
            add_gpu_finding(findings, check, alone ? NVL_SEVERITY_ERROR : NVL_SEVERITY_NOTE, facts, gpu,
                            "is excluded from use by the driver's options");
        nvl_strv_pushf(&evidence, "/proc/driver/nvidia/gpus/%s/information: GPU Excluded: Yes", gpu->pci);
        for (size_t n = 0; n < lines.count; n++)
            if (strstr(lines.items[n].text, "NVreg_ExcludedGpus") != NULL) {
                nvl_strv_pushf(&evidence, "%s: %s", lines.items[n].file, lines.items[n].text);
                nvl_strv_pushf(&fix, "sed -i 's/ *NVreg_ExcludedGpus=[^ ]*//' %s", lines.items[n].file);
            }
        nvl_finding_evidence_lines(f, &evidence);
        nvl_finding_cause(f, "the driver's option NVreg_ExcludedGpus names it: no program can use it");
        if (fix.count == 0)
            nvl_strv_push(&fix, "take NVreg_ExcludedGpus out of the driver's options (modprobe.d, kernel "
                                "command line)");
        nvl_strv_push(&fix, "update-initramfs -u -k all");
        nvl_strv_push(&fix, "reboot");
        if (alone)
            nvl_finding_fix_lines(f, &fix);
    }
}

const struct nvl_check nvl_gpu_checks[] = {
    {"gpu-absent", "Is there an NVIDIA GPU?", 10, 0, NULL, NVL_OF_HOST(check_gpu_absent)},
    {"gpu-nouveau", "Does nouveau leave the GPUs alone?", 20, 0, NULL, NVL_OF_HOST(check_gpu_nouveau)},
    {"gpu-nova", "Does nova_core leave them alone?", 30, 0, NULL, NVL_OF_HOST(check_gpu_nova)},
    {"gpu-vfio", "Is a GPU kept for containers, and not for virtual machines?", 40, 0, NULL,
     NVL_OF_HOST(check_gpu_vfio)},
    {"gpu-other-driver", "Does no other driver hold a GPU?", 50, 0, NULL,
     NVL_OF_HOST(check_gpu_other_driver)},
    {"gpu-too-new", "Does the driver know the GPUs already?", 60, 0, NULL, NVL_OF_HOST(check_gpu_too_new)},
    {"gpu-too-old", "Does the driver know the GPUs still?", 70, 0, NULL, NVL_OF_HOST(check_gpu_too_old)},
    {"gpu-flavour", "Is the kernel module of the flavour that the GPUs need?", 80, 0, NULL,
     NVL_OF_HOST(check_gpu_flavour)},
    {"gpu-refused", "Does the loaded driver take every GPU?", 90, NVL_NEEDS_LOADED,
     "gpu-too-new gpu-too-old gpu-flavour", NVL_OF_HOST(check_gpu_refused)},
    {"gpu-excluded", "Is no GPU excluded by the driver's options?", 100, 0, NULL,
     NVL_OF_HOST(check_gpu_excluded)},
    {0},
};
