/* What keeps GPUs ready: the persistence daemon, the fabric manager, and instances on a GPU in MIG mode. */
#include "doctor/host/shared.h"
#include "doctor/families.h"

#define PERSISTENCE_PID                                                                                      \
    "/run/nvidia-persistenced/nvidia-persistenced.pid" /* where the daemon always writes it */
#define SWITCHES "/proc/driver/nvidia-nvswitch/devices"

static bool any_driven(const struct nvl_host_facts *facts)
{
    for (size_t i = 0; i < facts->host.gpus.count; i++)
        if (facts->host.gpus.items[i].driver == NVL_GPU_NVIDIA)
            return true;
    return false;
}

/* Its own pid file first; searching all processes is worth it only if the daemon may run. A captured host may
 * have the process without the program. */
static bool persistence_runs(const struct nvl_root *root, bool is_installed)
{
    return nvl_pid_file_holds(root, PERSISTENCE_PID, "nvidia-persistenced") ||
           ((is_installed || !nvl_root_is_machine(root)) && nvl_program_runs(root, "nvidia-persistenced"));
}

static void check_persistence(const struct nvl_check *check, const struct nvl_host_facts *facts,
                              struct nvl_findings *findings)
{
    static const char *const programs[] = {"/usr/bin/nvidia-persistenced", "/usr/sbin/nvidia-persistenced"};
    nvl_auto(nvl_strv_clear) struct nvl_strv fix = {0};
    struct nvl_driver_need need = nvl_driver_need_of(facts);
    bool is_installed =
        nvl_root_exists(facts->root, programs[0]) || nvl_root_exists(facts->root, programs[1]);

    if (!any_driven(facts) || persistence_runs(facts->root, is_installed))
        return;
    nvl_autofree char *title =
        nvl_xasprintf("the persistence daemon %s", is_installed ? "is not running" : "is not installed");
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_NOTE, title);
    nvl_finding_evidence(f, "no process nvidia-persistenced; %s %s", programs[0],
                         is_installed ? "is installed" : "does not exist");
    nvl_finding_cause(
        f, "without it the driver releases a GPU when its last program ends, and sets it up again for the "
           "next one: the first program waits seconds, and an idle GPU may stay at high power");
    is_installed = is_installed || nvl_advise_tool(&need, "nvidia-persistenced", &fix);
    /* the mode that the daemon replaces needs no package */
    nvl_strv_push(&fix, is_installed ? "systemctl enable --now nvidia-persistenced" : "nvidia-smi -pm 1");
    nvl_finding_fix_lines(f, &fix);
}

/* The major nvidia-nvswitch is registered on every machine; only this folder shows a switch. */
static void check_fabric(const struct nvl_check *check, const struct nvl_host_facts *facts,
                         struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv switches = {0};

    nvl_root_list(facts->root, SWITCHES, &switches);
    if (switches.count == 0 || nvl_program_runs(facts->root, "nv-fabricmanager"))
        return;
    bool is_installed = nvl_root_exists(facts->root, "/usr/bin/nv-fabricmanager");
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_ERROR,
                         "this machine has NVSwitches, and the fabric manager is not running");
    nvl_finding_evidence(f, "%zu in " SWITCHES " (%s, …)\nno process nv-fabricmanager", switches.count,
                         switches.items[0]);
    nvl_finding_cause(f,
                      "GPUs behind NVSwitches stay unusable until it has set up the switches: cuInit gives "
                      "error 802 (system not yet initialized). It must have exactly the driver's version");
    if (is_installed)
        nvl_finding_fix(f, "systemctl enable --now nvidia-fabricmanager");
    else
        nvl_finding_fix(f,
                        "install nvidia-fabricmanager of version %s from NVIDIA's packages, then:\n"
                        "systemctl enable --now nvidia-fabricmanager",
                        facts->host.driver.version);
}

static void check_mig_empty(const struct nvl_check *check, const struct nvl_host_facts *facts,
                            struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->host.gpus.count; i++) {
        const struct nvl_gpu *gpu = &facts->host.gpus.items[i];
        if (!gpu->mig_enabled || gpu->n_migs > 0)
            continue;
        nvl_autofree char *title = nvl_xasprintf("GPU %s (%s) is in MIG mode and has no instance", gpu->pci,
                                                 gpu->model[0] != '\0' ? gpu->model : "NVIDIA");
        struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, title);
        nvl_finding_about(f, NVL_SUBJECT_GPU, gpu->pci);
        nvl_finding_evidence(f, "/proc/driver/nvidia/capabilities/gpu%d/mig has no compute instance",
                             gpu->minor);
        nvl_finding_cause(f, "in MIG mode programs get instances, never the whole GPU, and instances are "
                             "gone after a reboot: CUDA finds no device (error 100 or 101)");
        nvl_finding_fix(f,
                        "nvidia-smi mig -i %s -lgip   # the profiles\n"
                        "nvidia-smi mig -i %s -cgi PROFILE -C\nor: nvidia-smi -i %s -mig 0",
                        gpu->pci, gpu->pci, gpu->pci);
    }
}

const struct nvl_check nvl_service_checks[] = {
    {"mig-empty", "Does each GPU in MIG mode have instances?", 60, NVL_NEEDS_LOADED, NULL,
     NVL_OF_HOST(check_mig_empty)},
    {"fabric-manager", "Does the fabric manager run if there are NVSwitches?", 70, NVL_NEEDS_LOADED, NULL,
     NVL_OF_HOST(check_fabric)},
    {"persistence", "Does the persistence daemon keep the GPUs ready?", 80, NVL_NEEDS_LOADED, NULL,
     NVL_OF_HOST(check_persistence)},
    {0},
};
