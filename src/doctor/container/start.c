/* What a container's grant gives it now: which of its GPUs are here, and which others it can reach. running.c
 * checks what a running container has. */
#include "doctor/container/shared.h"
#include "container/device_rules.h"
#include "doctor/families.h"
#include "grant/choose.h"
#include "host/boot_commands.h"

/* Why a selector names nothing usable. */
enum lack { LACK_NONE, LACK_GPU, LACK_FIRST_USE, LACK_HELD, LACK_EXCLUDED, LACK_MIG, LACK_MIG_UUID };

/* The driver reports a GPU's UUID only after its first use; the start hook uses each GPU. A GPU that does not
 * come up, or is off the bus, may also be the one. */
static bool has_gpu_without_uuid(const struct nvl_gpus *gpus)
{
    for (size_t i = 0; i < gpus->count; i++) {
        enum nvl_gpu_state state = nvl_gpu_state(&gpus->items[i]);
        if (state == NVL_GPU_IS_UNUSED || state == NVL_GPU_IS_SILENT ||
            (state == NVL_GPU_IS_LOST && gpus->items[i].uuid[0] == '\0'))
            return true;
    }
    return false;
}

static enum lack classify(const struct nvl_host *host, const struct nvl_selector *s)
{
    if (s->kind == NVL_SELECT_MIG_UUID)
        return LACK_MIG_UUID;
    const struct nvl_gpu *gpu = nvl_find_selected(&host->gpus, s);
    if (gpu == NULL)
        return (s->kind == NVL_SELECT_UUID || s->kind == NVL_SELECT_MIG) && has_gpu_without_uuid(&host->gpus)
                   ? LACK_FIRST_USE
                   : LACK_GPU;
    if (gpu->excluded)
        return LACK_EXCLUDED;
    if (!nvl_gpu_can_be_given(gpu))
        return LACK_HELD;
    return s->kind == NVL_SELECT_MIG ? LACK_MIG : LACK_GPU;
}

/* Whether it may be the GPU that none is known to be: only the driver knows UUIDs and numbers. */
static bool may_be_meant(const struct nvl_gpu *gpu, const struct nvl_selector *s)
{
    if (s->kind == NVL_SELECT_INDEX)
        return gpu->driver != NVL_GPU_NVIDIA || gpu->minor < 0;
    return s->kind != NVL_SELECT_PCI && gpu->uuid[0] == '\0';
}

/* The GPU that a selector names, else those that it may mean; the selector's own text if there are none. */
static void find_meant_gpus(const struct nvl_gpus *gpus, const struct nvl_selector *s, struct nvl_strv *pcis)
{
    const struct nvl_gpu *gpu = s->kind == NVL_SELECT_MIG_UUID ? NULL : nvl_find_selected(gpus, s);
    size_t before = pcis->count;

    if (gpu != NULL)
        nvl_strv_push(pcis, gpu->pci);
    for (size_t i = 0; gpu == NULL && i < gpus->count; i++)
        if (may_be_meant(&gpus->items[i], s))
            nvl_strv_push(pcis, gpus->items[i].pci);
    if (pcis->count == before)
        nvl_strv_push(pcis, s->text);
}

/* The resolver's own sentences about the selectors that lack this, and the GPUs that they mean. */
static void find_lacking(const struct nvl_container_facts *facts, enum lack wanted, struct nvl_strv *evidence,
                         struct nvl_strv *pcis)
{
    const struct nvl_host *host = &facts->host->host;

    for (size_t i = 0; i < facts->grant.n_selectors; i++) {
        struct nvl_selector one = facts->grant.selectors[i];
        if (nvl_selector_is_open(&one))
            continue;
        const struct nvl_grant grant = {.devices = NVL_DEVICES_LIST,
                                        .selectors = &one,
                                        .n_selectors = 1,
                                        .capabilities = facts->grant.capabilities};
        nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved = {0};
        nvl_grant_resolve(&grant, host, &resolved);
        if (resolved.missing.count == 0 || classify(host, &one) != wanted)
            continue;
        nvl_strv_push(evidence, resolved.missing.items[0]);
        find_meant_gpus(&host->gpus, &one, pcis);
    }
}

static struct nvl_finding *lack_finding(const struct nvl_check *check,
                                        const struct nvl_container_facts *facts,
                                        struct nvl_findings *findings, enum nvl_severity severity,
                                        enum lack wanted, const char *title)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, pcis = {0};

    find_lacking(facts, wanted, &evidence, &pcis);
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, severity, facts, &evidence, title);
    if (f != NULL)
        nvl_finding_about_each(f, NVL_SUBJECT_GPU, &pcis);
    return f;
}

static const char *without_it(const struct nvl_container_facts *facts)
{
    return facts->grant.delivery.required ? "the grant is required: the container does not start"
                                          : "the container starts without it";
}

/* The choice is the whole grant's: two of `any` are two GPUs. */
static void check_chosen(const struct nvl_check *check, const struct nvl_container_facts *facts,
                         struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, pcis = {0};
    const struct nvl_strv *missing = &facts->resolved.missing;
    nvl_autofree char *name = nvl_shell_word(facts->name);

    for (size_t i = missing->count - facts->resolved.n_unchosen; i < missing->count; i++)
        nvl_strv_push(&evidence, missing->items[i]);
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                                                 "no GPU of this host fits its grant");
    for (size_t i = 0; f != NULL && i < facts->grant.n_selectors; i++)
        if (nvl_selector_is_open(&facts->grant.selectors[i]))
            find_meant_gpus(&facts->host->host.gpus, &facts->grant.selectors[i], &pcis);
    if (f == NULL)
        return;
    nvl_finding_about_each(f, NVL_SUBJECT_GPU, &pcis);
    nvl_finding_cause(f, "each start chooses a GPU of its node, and of this one none fits; %s",
                      without_it(facts));
    nvl_finding_fix(f,
                    "nvlxc gpus\nmake one of them fit (a mapping: Datacenter, Resource Mappings), or grant "
                    "another: nvlxc attach %s --gpu GPU",
                    name);
}

static void check_granted_missing(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                  struct nvl_findings *findings)
{
    struct nvl_finding *f = NULL;

    if (facts->grant.devices == NVL_DEVICES_ALL && facts->resolved.missing.count > 0) {
        f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name,
                            "it is granted all GPUs, and this host has none to give");
        nvl_finding_evidence(f, "%s", facts->resolved.missing.items[0]);
        for (size_t i = 0; i < facts->host->host.gpus.count; i++)
            nvl_finding_about(f, NVL_SUBJECT_GPU, facts->host->host.gpus.items[i].pci);
    } else {
        f = lack_finding(check, facts, findings, NVL_SEVERITY_ERROR, LACK_GPU,
                         "it is granted a GPU that this host does not have");
    }
    if (f == NULL)
        return;
    nvl_finding_cause(f, "the card was taken out or replaced, or the container came from another node; %s",
                      without_it(facts));
    nvl_autofree char *name = nvl_shell_word(facts->name);
    nvl_finding_fix(f, "nvlxc gpus --wide\nwith one of those UUIDs: nvlxc attach %s --gpu UUID", name);
}

static void check_first_use(const struct nvl_check *check, const struct nvl_container_facts *facts,
                            struct nvl_findings *findings)
{
    struct nvl_finding *f = lack_finding(check, facts, findings, NVL_SEVERITY_NOTE, LACK_FIRST_USE,
                                         "the GPU's first use will show whether its GPU is here");

    if (f == NULL)
        return;
    nvl_finding_cause(f, "the driver reports a GPU's UUID only after something has used the GPU; the start "
                         "hook uses it by itself");
    nvl_finding_fix(f, "nvidia-smi -L");
}

/* The texts for the first of its GPUs that another driver holds. */
static const struct nvl_gpu_reason *find_held(const struct nvl_container_facts *facts)
{
    const struct nvl_gpus *gpus = &facts->host->host.gpus;

    for (size_t i = 0; i < facts->grant.n_selectors; i++) {
        const struct nvl_gpu *gpu = nvl_find_selected(gpus, &facts->grant.selectors[i]);
        if (gpu != NULL && classify(&facts->host->host, &facts->grant.selectors[i]) == LACK_HELD)
            return &facts->host->reasons[gpu - gpus->items];
    }
    return NULL;
}

/* What is lent was lent on purpose, and comes back by itself. */
static void check_granted_held(const struct nvl_check *check, const struct nvl_container_facts *facts,
                               struct nvl_findings *findings)
{
    const struct nvl_gpu_reason *reason = find_held(facts);
    bool is_lent = reason != NULL && reason->state == NVL_GPU_IS_LENT && !facts->grant.delivery.required;
    struct nvl_finding *f =
        lack_finding(check, facts, findings, is_lent ? NVL_SEVERITY_NOTE : NVL_SEVERITY_ERROR, LACK_HELD,
                     is_lent ? "a GPU of its grant is lent to a virtual machine"
                             : "nvidia does not drive a GPU of its grant");

    if (f == NULL)
        return;
    nvl_autofree char *name = nvl_shell_word(facts->name);
    nvl_finding_cause(f, "it %s: %s; %s", reason->what, reason->cause, without_it(facts));
    if (is_lent)
        nvl_finding_fix_lines(f, &reason->fix);
    else
        nvl_finding_fix(
            f,
            "give the GPU back to nvidia on the host, or grant another:\n  nvlxc gpus\n  nvlxc attach %s "
            "--gpu UUID",
            name);
}

static void check_granted_excluded(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                   struct nvl_findings *findings)
{
    struct nvl_finding *f = lack_finding(check, facts, findings, NVL_SEVERITY_ERROR, LACK_EXCLUDED,
                                         "the driver's options exclude a GPU of its grant");

    if (f == NULL)
        return;
    nvl_finding_cause(f, "the module option NVreg_ExcludedGpus names it; %s", without_it(facts));
    nvl_auto(nvl_strv_clear) struct nvl_strv fix = {0};
    nvl_strv_push(&fix, "grep -r NVreg_ExcludedGpus /etc/modprobe.d /proc/cmdline");
    nvl_strv_push(&fix, "remove the GPU from it, then:");
    nvl_add_boot_commands(&facts->host->system, NVL_BOOT_INITRAMFS, &fix);
    nvl_strv_push(&fix, "reboot");
    nvl_finding_fix_lines(f, &fix);
}

static void check_granted_mig(const struct nvl_check *check, const struct nvl_container_facts *facts,
                              struct nvl_findings *findings)
{
    struct nvl_finding *f = lack_finding(check, facts, findings, NVL_SEVERITY_ERROR, LACK_MIG,
                                         "the MIG device of its grant is gone");

    if (f == NULL)
        return;
    nvl_autofree char *name = nvl_shell_word(facts->name);
    nvl_finding_cause(
        f, "a reset of the GPU or a reboot removes MIG instances, and they come back with other numbers; %s",
        without_it(facts));
    nvl_finding_fix(f,
                    "create the instance again (nvidia-smi mig -cgi PROFILE -C), or grant one that exists:\n "
                    " nvlxc gpus --wide\n  nvlxc attach %s --gpu MIG-GPU-UUID/GI/CI",
                    name);
}

static void check_granted_mig_uuid(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                   struct nvl_findings *findings)
{
    struct nvl_finding *f = lack_finding(check, facts, findings, NVL_SEVERITY_ERROR, LACK_MIG_UUID,
                                         "its grant names a MIG device in a form that no start can resolve");

    if (f == NULL)
        return;
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(f,
                      "only NVML knows which device a MIG UUID means; attach asks NVML once and writes the "
                      "form that the kernel's files resolve; %s",
                      without_it(facts));
    nvl_finding_fix(f, "%s", again);
}

static bool is_granted_gpu(const struct nvl_container_facts *facts, const struct nvl_gpu *gpu)
{
    for (size_t i = 0; i < facts->resolved.n_gpus; i++)
        if (facts->resolved.gpus[i].gpu == gpu)
            return true;
    for (size_t i = 0; i < facts->grant.n_selectors; i++) /* its next start may choose it */
        if (nvl_selector_is_open(&facts->grant.selectors[i]) &&
            nvl_is_choice(&facts->host->host, &facts->grant.selectors[i], gpu))
            return true;
    return false;
}

/* A privileged container's root can make nodes: only the device filter keeps it from the other GPUs. */
static void check_other_gpus(const struct nvl_check *check, const struct nvl_container_facts *facts,
                             struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    nvl_auto(nvl_device_rules_clear) struct nvl_device_rules rules = {0};
    const struct nvl_gpus *gpus = &facts->host->host.gpus;

    if (!facts->idmap.privileged || facts->container->user != NULL || facts->resolved.n_gpus == 0 ||
        nvl_facts_rules(facts, &rules) < 0)
        return;
    for (size_t i = 0; i < gpus->count; i++) {
        const struct nvl_gpu *gpu = &gpus->items[i];
        if (!nvl_gpu_can_be_given(gpu) || is_granted_gpu(facts, gpu))
            continue;
        const struct nvl_node node = nvl_node_make(NVL_NODE_GPU, (unsigned)gpu->minor, false,
                                                   &facts->host->host.majors, &facts->host->host.params);
        if (node.major >= 0 && nvl_device_rules_allow(&rules, node.path, node.major, node.minor))
            nvl_strv_pushf(&evidence, "%s, %s: not granted, and no device rule denies it", node.path,
                           gpu->model[0] != '\0' ? gpu->model : gpu->pci);
    }
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, NVL_SEVERITY_WARNING, facts, &evidence,
                             "it is privileged and can open GPUs that it was not granted");
    if (f == NULL)
        return;
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(f, "its root is the host's and can make any device node; without a device filter that "
                         "lists what is allowed, nothing keeps it from the other GPUs");
    nvl_finding_fix(f,
                    "make it unprivileged, or give it LXC's device list: as the first line of %s,\n  "
                    "lxc.include = /usr/share/lxc/config/common.conf\nthen:\n%s",
                    facts->container->config_edit, again);
}

const struct nvl_check nvl_start_checks[] = {
    {"grant-gpu-missing", "Are the GPUs of its grant on this host?", 10, NVL_NEEDS_GRANT | NVL_NEEDS_DEPTH,
     NVL_NO_GPU_ON_HOST, NVL_OF_CONTAINER(check_granted_missing)},
    {"grant-gpu-unfit", "Does a GPU of this host fit its grant?", 15, NVL_NEEDS_GRANT | NVL_NEEDS_DEPTH,
     NVL_NO_GPU_ON_HOST, NVL_OF_CONTAINER(check_chosen)},
    {"grant-gpu-held", "Does nvidia drive the GPUs of its grant?", 20, NVL_NEEDS_GRANT | NVL_NEEDS_DEPTH,
     NVL_NO_GPU_ON_HOST, NVL_OF_CONTAINER(check_granted_held)},
    {"grant-gpu-excluded", "Do the driver's options leave it the GPUs of its grant?", 30,
     NVL_NEEDS_GRANT | NVL_NEEDS_DEPTH, "gpu-excluded", NVL_OF_CONTAINER(check_granted_excluded)},
    {"grant-mig-missing", "Do the MIG devices of its grant exist?", 40, NVL_NEEDS_GRANT | NVL_NEEDS_DEPTH,
     "mig-empty " NVL_NO_GPU_ON_HOST, NVL_OF_CONTAINER(check_granted_mig)},
    {"grant-mig-uuid", "Can a start find its MIG devices?", 50, NVL_NEEDS_GRANT | NVL_NEEDS_DEPTH, NULL,
     NVL_OF_CONTAINER(check_granted_mig_uuid)},
    {"other-gpus-open", "Is it kept from GPUs that it was not granted?", 90,
     NVL_NEEDS_GRANT | NVL_NEEDS_DEPTH, NULL, NVL_OF_CONTAINER(check_other_gpus)},
    {"grant-gpu-unused", "Does the driver know its GPUs' UUIDs?", 100, NVL_NEEDS_GRANT | NVL_NEEDS_DEPTH,
     "gpu-lost gpu-silent " NVL_NO_GPU_ON_HOST, NVL_OF_CONTAINER(check_first_use)},
    {0},
};
