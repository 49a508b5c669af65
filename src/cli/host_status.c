/* What the facts of a host mean for containers, one function for each subject. */
#include "cli/host_status.h"

#define BLACKLIST_FILE "/etc/modprobe.d/nvidia-blacklist.conf"

static struct nvl_finding *add(struct nvl_findings *findings, enum nvl_finding_level level,
                               const char *subject, const char *id, char *title)
{
    struct nvl_finding *f = NVL_APPEND(findings->items, findings->count);

    *f = (struct nvl_finding){.level = level, .subject = subject, .id = id, .title = title};
    return f;
}

static bool any_driven_by_nvidia(const struct nvl_gpus *gpus)
{
    for (size_t i = 0; i < gpus->count; i++)
        if (gpus->items[i].driver == NVL_GPU_NVIDIA)
            return true;
    return false;
}

static void judge_driven(const struct nvl_gpu *gpu, struct nvl_findings *findings)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf title = {0};

    nvl_buf_addf(&title, "%s %s, driven by nvidia", gpu->pci, gpu->model[0] != '\0' ? gpu->model : "GPU");
    if (gpu->mig_enabled)
        nvl_buf_addf(&title, ", %zu MIG device%s", gpu->n_migs, gpu->n_migs == 1 ? "" : "s");
    if (gpu->excluded)
        nvl_buf_addf(&title, ", but excluded from use by the driver's options");
    add(findings, gpu->excluded ? NVL_FINDING_NOTE : NVL_FINDING_OK, "GPU", "gpu", nvl_buf_take(&title));
}

/* A GPU at vfio-pci beside one that works is meant so; alone it is what stands in the way. */
static void judge_vfio(const struct nvl_gpu *gpu, bool alone, struct nvl_findings *findings)
{
    struct nvl_finding *f = add(findings, alone ? NVL_FINDING_PROBLEM : NVL_FINDING_NOTE, "GPU", "vfio",
                                nvl_xasprintf("%s (10de:%04x) is held by vfio-pci, for a virtual machine",
                                              gpu->pci, gpu->pci_device));

    if (alone)
        f->fix = nvl_xasprintf("to give it to containers: take 10de:%04x out of ids= in /etc/modprobe.d/ and "
                               "hostpci out of the VM's config, then update-initramfs -u and reboot",
                               gpu->pci_device);
}

static void judge_taken(const struct nvl_gpu *gpu, const char *id, const char *blacklist,
                        struct nvl_findings *findings)
{
    struct nvl_finding *f =
        add(findings, NVL_FINDING_PROBLEM, "GPU", id,
            nvl_xasprintf("%s (10de:%04x) is held by %s, so NVIDIA's driver cannot use it", gpu->pci,
                          gpu->pci_device, gpu->driver_name));

    if (blacklist != NULL)
        f->fix =
            nvl_xasprintf("printf '%s' > " BLACKLIST_FILE " && update-initramfs -u, then reboot", blacklist);
}

static void judge_idle(const struct nvl_gpu *gpu, bool loaded, struct nvl_findings *findings)
{
    if (!loaded) { /* the driver's own finding says what to do */
        add(findings, NVL_FINDING_NOTE, "GPU", "gpu_idle",
            nvl_xasprintf("%s (10de:%04x) has no driver", gpu->pci, gpu->pci_device));
        return;
    }
    struct nvl_finding *f =
        add(findings, NVL_FINDING_PROBLEM, "GPU", "gpu_refused",
            nvl_xasprintf("%s (10de:%04x) has no driver, though nvidia is loaded: this version "
                          "may not know it",
                          gpu->pci, gpu->pci_device));
    f->fix = nvl_xstrdup(
        "journalctl -k -g NVRM says why; a GPU newer than the driver needs a newer driver, RTX 50 "
        "cards the open kernel modules");
}

static void judge_gpus(const struct nvl_host_facts *facts, struct nvl_findings *findings)
{
    const struct nvl_gpus *gpus = &facts->host.gpus;

    if (gpus->count == 0) {
        struct nvl_finding *f =
            add(findings, NVL_FINDING_PROBLEM, "GPU", "no_gpu", nvl_xstrdup("this host has no NVIDIA GPU"));
        f->fix =
            nvl_xstrdup("lspci -nn -d 10de: shows what the machine sees; in a virtual machine, pass the GPU "
                        "through to it first");
    }
    for (size_t i = 0; i < gpus->count; i++) {
        const struct nvl_gpu *gpu = &gpus->items[i];
        switch (gpu->driver) {
        case NVL_GPU_NVIDIA:
            judge_driven(gpu, findings);
            break;
        case NVL_GPU_NOUVEAU:
            judge_taken(gpu, "nouveau", "blacklist nouveau\\n", findings);
            break;
        case NVL_GPU_NOVA:
            judge_taken(gpu, "nova", "blacklist nova_core\\nblacklist nova_drm\\n", findings);
            break;
        case NVL_GPU_VFIO:
            judge_vfio(gpu, !any_driven_by_nvidia(gpus), findings);
            break;
        case NVL_GPU_OTHER_DRIVER:
            judge_taken(gpu, "other_driver", NULL, findings);
            break;
        case NVL_GPU_NO_DRIVER:
            judge_idle(gpu, facts->host.driver.loaded, findings);
            break;
        }
    }
}

static void judge_driver(const struct nvl_host_facts *facts, struct nvl_findings *findings)
{
    const struct nvl_driver_version *driver = &facts->host.driver;
    const char *flavour = nvl_flavour_name(driver->flavour);
    struct nvl_finding *f;

    if (driver->loaded && driver->version[0] != '\0') {
        add(findings, NVL_FINDING_OK, "driver", "driver",
            nvl_xasprintf("kernel module %s%s%s%s is loaded", driver->version, flavour != NULL ? " (" : "",
                          flavour != NULL ? flavour : "", flavour != NULL ? ")" : ""));
    } else if (driver->loaded) {
        f = add(findings, NVL_FINDING_PROBLEM, "driver", "driver_unknown",
                nvl_xstrdup("the kernel module is loaded, but its version is not understood"));
        f->fix = nvl_xstrdup("report the text of /proc/driver/nvidia/version");
    } else if (facts->userspace.versions.count > 0) {
        f = add(findings, NVL_FINDING_PROBLEM, "driver", "driver_not_loaded",
                nvl_xasprintf("the kernel module is not loaded, though the driver %s is installed",
                              facts->userspace.versions.items[0]));
        f->fix =
            nvl_xstrdup("modprobe nvidia; where there is no such module, install the kernel's headers "
                        "(linux-headers-$(uname -r), on Proxmox VE proxmox-headers-$(uname -r)) and run dkms "
                        "autoinstall");
    } else {
        f = add(findings, NVL_FINDING_PROBLEM, "driver", "driver_missing",
                nvl_xstrdup("NVIDIA's driver is not installed"));
        f->fix = nvl_xstrdup(
            "apt install nvidia-kernel-dkms libcuda1 nvidia-smi nvidia-modprobe (Debian's non-free "
            "component) with the kernel's headers, then reboot");
    }
}

/* The loaded version is among the installed ones, or the bundle stands in, or containers get nothing. */
static void judge_userspace(const struct nvl_host_facts *facts, struct nvl_findings *findings)
{
    const struct nvl_strv *installed = &facts->userspace.versions;
    const char *loaded = facts->host.driver.version;
    nvl_autofree char *list = nvl_strv_join(installed, ", ");
    bool served = facts->bundle_present && facts->bundle_complete;

    if (nvl_strv_contains(installed, loaded)) {
        add(findings, NVL_FINDING_OK, "libraries", "libraries",
            nvl_xasprintf("%s installed, as loaded", list));
        return;
    }
    nvl_auto(nvl_buf_clear) struct nvl_buf title = {0};
    if (installed->count == 0)
        nvl_buf_addf(&title, "%s loaded, but no libraries of the driver are installed", loaded);
    else if (nvl_version_compare(installed->items[0], loaded) > 0)
        nvl_buf_addf(&title, "%s loaded, %s installed: an upgrade waits for a reboot", loaded, list);
    else
        nvl_buf_addf(&title, "%s loaded, %s installed: they do not match", loaded, list);
    if (served)
        nvl_buf_addf(&title, "; containers use the bundle of %s", loaded);
    else
        nvl_buf_addf(&title, "; %s bundle of %s, so containers get no driver",
                     facts->bundle_present ? "there is no complete" : "there is no", loaded);
    struct nvl_finding *f =
        add(findings, served ? NVL_FINDING_NOTE : NVL_FINDING_PROBLEM, "libraries",
            installed->count == 0 ? "libraries_missing" : "libraries_mismatch", nvl_buf_take(&title));
    if (served)
        return;
    if (installed->count == 0)
        f->fix = nvl_xasprintf("install the libraries of %s: apt install libcuda1 nvidia-smi", loaded);
    else
        f->fix =
            nvl_xasprintf("reboot, so that the installed version is loaded, or install %s again", loaded);
}

static bool uvm_is_loaded(const struct nvl_host_facts *facts)
{
    return facts->modules.nvidia_uvm || facts->host.majors.uvm >= 0;
}

static void judge_modules(const struct nvl_host_facts *facts, struct nvl_findings *findings)
{
    const struct nvl_modules *m = &facts->modules;
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    if (!uvm_is_loaded(facts)) {
        struct nvl_finding *f =
            add(findings, NVL_FINDING_PROBLEM, "modules", "uvm_not_loaded",
                nvl_xstrdup("nvidia_uvm is not loaded: nvidia-smi works, but CUDA programs fail "
                            "with error 999"));
        f->fix = nvl_xstrdup(
            nvl_root_exists(facts->host.root, NVL_MODPROBE_PROGRAM)
                ? "modprobe nvidia-uvm && nvidia-modprobe -c 0 -u"
                : "apt install nvidia-modprobe, then modprobe nvidia-uvm && nvidia-modprobe -c 0 -u");
        return;
    }
    if (m->nvidia)
        nvl_strv_push(&names, "nvidia");
    nvl_strv_push(&names, "nvidia_uvm");
    if (m->nvidia_modeset)
        nvl_strv_push(&names, "nvidia_modeset");
    if (m->nvidia_drm)
        nvl_strv_push(&names, "nvidia_drm");
    nvl_autofree char *list = nvl_strv_join(&names, ", ");
    add(findings, NVL_FINDING_OK, "modules", "modules", nvl_xasprintf("%s loaded", list));
}

static char *make_command(const struct nvl_node *node, bool has_modprobe)
{
    if (node->kind == NVL_NODE_DRI)
        return nvl_xstrdup("udevadm trigger --subsystem-match=drm --action=add");
    if (has_modprobe && node->kind == NVL_NODE_GPU)
        return nvl_xasprintf("nvidia-modprobe -c %d", node->minor);
    if (has_modprobe && node->kind == NVL_NODE_MODESET)
        return nvl_xstrdup("nvidia-modprobe -m");
    if (has_modprobe && (node->kind == NVL_NODE_UVM || node->kind == NVL_NODE_UVM_TOOLS))
        return nvl_xstrdup("nvidia-modprobe -c 0 -u");
    return nvl_xasprintf("%smknod -m %04o %s c %d %d",
                         node->kind == NVL_NODE_CAP ? "mkdir -p /dev/nvidia-caps && " : "", node->mode,
                         node->path, node->major, node->minor);
}

static const struct {
    enum nvl_node_state state;
    const char *id, *what;
} node_faults[] = {
    {NVL_NODE_MISSING, "node_missing", "missing"},
    {NVL_NODE_NOT_DEVICE, "node_not_device", "not a device"},
    {NVL_NODE_STALE, "node_stale", "stale"},
    {NVL_NODE_MODE, "node_mode", "closed to some users"},
};

/* The node with what is wrong, and the commands that mend it, each once. */
static void describe_node(const struct nvl_node *node, bool has_modprobe, struct nvl_strv *names,
                          struct nvl_strv *removals, struct nvl_strv *commands)
{
    nvl_autofree char *command = node->state == NVL_NODE_MODE
                                     ? nvl_xasprintf("chmod %04o %s", node->mode, node->path)
                                     : make_command(node, has_modprobe);

    if (node->state == NVL_NODE_STALE)
        nvl_strv_pushf(names, "%s (%d:%d instead of %d:%d)", node->path, node->found_major, node->found_minor,
                       node->major, node->minor);
    else if (node->state == NVL_NODE_MODE)
        nvl_strv_pushf(names, "%s (%04o instead of %04o)", node->path, node->found_mode, node->mode);
    else
        nvl_strv_push(names, node->path);
    if (node->state == NVL_NODE_STALE || node->state == NVL_NODE_NOT_DEVICE)
        nvl_strv_push(removals, node->path);
    if (!nvl_strv_contains(commands, command))
        nvl_strv_push(commands, command);
}

static bool judge_fault(const struct nvl_host_facts *facts, size_t fault, struct nvl_findings *findings)
{
    bool has_modprobe = nvl_root_exists(facts->host.root, NVL_MODPROBE_PROGRAM);
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0}, removals = {0}, commands = {0};

    for (size_t i = 0; i < facts->n_nodes; i++) /* where a major is not known, the module's finding says it */
        if (facts->nodes[i].state == node_faults[fault].state && facts->nodes[i].major >= 0)
            describe_node(&facts->nodes[i], has_modprobe, &names, &removals, &commands);
    if (names.count == 0)
        return false;
    nvl_autofree char *list = nvl_strv_join(&names, ", ");
    nvl_autofree char *made = nvl_strv_join(&commands, " && ");
    nvl_autofree char *removed = nvl_strv_join(&removals, " ");
    struct nvl_finding *f = add(findings, NVL_FINDING_PROBLEM, "nodes", node_faults[fault].id,
                                nvl_xasprintf("%s: %s", node_faults[fault].what, list));
    f->fix = removals.count > 0 ? nvl_xasprintf("rm -f %s && %s", removed, made) : TAKE_PTR(made);
    return true;
}

static void judge_nodes(const struct nvl_host_facts *facts, struct nvl_findings *findings)
{
    bool faulty = false;
    size_t known = 0;

    for (size_t i = 0; i < NVL_LENGTH(node_faults); i++)
        faulty |= judge_fault(facts, i, findings);
    for (size_t i = 0; i < facts->n_nodes; i++)
        known += facts->nodes[i].major >= 0;
    if (!faulty)
        add(findings, NVL_FINDING_OK, "nodes", "nodes",
            nvl_xasprintf("%zu device nodes are as they should be", known));
}

static void judge_bundle(const struct nvl_host_facts *facts, struct nvl_findings *findings)
{
    const char *version = facts->host.driver.version;
    struct nvl_finding *f;

    if (facts->bundle_present && facts->bundle_complete) {
        add(findings, NVL_FINDING_OK, "bundle", "bundle", nvl_xasprintf("%s is there", version));
    } else if (facts->bundle_present) {
        f = add(findings, NVL_FINDING_PROBLEM, "bundle", "bundle_incomplete",
                nvl_xasprintf("%s is there, but its manifest cannot be read", version));
        f->fix = nvl_xstrdup("nvlxc driver sync");
    } else if (nvl_strv_contains(&facts->userspace.versions, version)) {
        f = add(findings, NVL_FINDING_NOTE, "bundle", "bundle_absent",
                nvl_xasprintf("none of %s yet; the first attach makes it", version));
        f->fix = nvl_xstrdup("nvlxc driver sync");
    } /* else the libraries' finding says it */
}

void nvl_host_judge(const struct nvl_host_facts *facts, struct nvl_findings *findings)
{
    const struct nvl_driver_version *driver = &facts->host.driver;

    judge_gpus(facts, findings);
    if (facts->host.gpus.count == 0 && !driver->loaded)
        return;
    judge_driver(facts, findings);
    if (driver->loaded && driver->version[0] != '\0') {
        judge_userspace(facts, findings);
        judge_bundle(facts, findings);
    }
    if (driver->loaded) {
        judge_modules(facts, findings);
        judge_nodes(facts, findings);
    }
}

void host_findings_clear(struct nvl_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        free(findings->items[i].title);
        free(findings->items[i].fix);
    }
    free(findings->items);
    *findings = (struct nvl_findings){0};
}
