/* The kernel module on disk: may it load, is it loaded, and will it find its firmware. */
#include <limits.h>

#include "doctor/host/shared.h"
#include "doctor/families.h"
#include "driver/package_names.h"
#include "host/modprobe.h"

#define HOLDERS       "gpu-absent gpu-nouveau gpu-nova gpu-vfio gpu-other-driver"
#define MISFITS       "gpu-too-new gpu-too-old gpu-flavour"
#define SECURE_BOOT   "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
#define FIRMWARE_PATH "/sys/module/firmware_class/parameters/path"
#define MOK_LIST      "/sys/firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23"

static bool is_refused_by_firmware(const struct nvl_host_facts *facts)
{
    return facts->system.secure_boot == NVL_SECURE_BOOT_ON && facts->installed.enrolled != NVL_ENROLLED_YES;
}

static void check_secure_boot(const struct nvl_check *check, const struct nvl_host_facts *facts,
                              struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    const struct nvl_installed_driver *d = &facts->installed;

    if (facts->host.driver.loaded || d->module == NULL || !is_refused_by_firmware(facts))
        return;
    struct nvl_driver_need need = nvl_driver_need_of(facts);
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_ERROR,
                         "Secure Boot is on, and the key that signs the kernel module is not enrolled");
    nvl_finding_about_module(f, facts);
    nvl_strv_push(&evidence, SECURE_BOOT ": 1");
    nvl_strv_pushf(&evidence, "%s exists and is not loaded", d->module);
    if (d->signing_key == NULL)
        nvl_strv_push(&evidence, "/var/lib/dkms/mok.pub does not exist: nothing was signed");
    else
        nvl_strv_pushf(&evidence, MOK_LIST " %s %s",
                       d->enrolled == NVL_ENROLLED_NO ? "does not contain" : "could not be read for",
                       d->signing_key);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f, "with Secure Boot the kernel loads only modules that are signed with a key that the "
                         "firmware knows (modprobe: \"Key was rejected by service\")");
    nvl_advise_signing(&need, &fix);
    nvl_finding_fix_lines(f, &fix);
}

static void check_not_loaded(const struct nvl_check *check, const struct nvl_host_facts *facts,
                             struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    nvl_auto(nvl_claims_clear) struct nvl_claims barriers = {0};
    const struct nvl_installed_driver *d = &facts->installed;
    bool unknown_kernel = facts->system.kernel == NULL && nvl_driver_is_installed(facts);

    if (facts->host.driver.loaded || (d->module == NULL && !unknown_kernel) || is_refused_by_firmware(facts))
        return;
    nvl_autofree char *name = nvl_module_name(d);
    nvl_autofree char *title =
        nvl_xasprintf("the kernel module is not loaded, though the driver %s is installed", d->version);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, title);
    for (size_t i = 0; i < facts->host.gpus.count; i++)
        nvl_finding_about(f, NVL_SUBJECT_GPU, facts->host.gpus.items[i].pci);
    nvl_finding_explains(f, NVL_SUBJECT_MODULE, "nvidia");
    nvl_finding_explains(f, NVL_SUBJECT_NODE, NULL);
    nvl_strv_push(&evidence, "/proc/driver/nvidia/version does not exist");
    if (d->module != NULL)
        nvl_strv_pushf(&evidence, "%s exists", d->module);
    nvl_nvidia_barriers_read(facts->root, &facts->modprobe, &barriers);
    nvl_claims_evidence(&barriers, &evidence);
    nvl_claims_fix(&barriers, &facts->system, false, &fix);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(
        f, "%s",
        barriers.count > 0
            ? "this host's configuration keeps the module from loading, as for a GPU that is meant for a "
              "virtual machine"
            : "the module was built after the boot, was unloaded, or was refused: modprobe and the kernel's "
              "log name the cause; nvidia-smi says that it \"couldn't communicate with the NVIDIA driver\"");
    nvl_strv_pushf(&fix, "modprobe %s", name);
    if (barriers.count == 0)
        nvl_strv_push(&fix, "journalctl -k -g NVRM   # if that fails");
    nvl_finding_fix_lines(f, &fix);
}

static void check_driver_version(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                 struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};

    if (facts->host.driver.version[0] != '\0')
        return;
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_ERROR,
                         "the kernel module is loaded, but nvlxc does not understand its version");
    nvl_add_first_line(&evidence, facts->root, "/proc/driver/nvidia/version");
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f, "nvlxc chooses libraries by that version, so containers get none");
    nvl_finding_fix(f, "report the text of /proc/driver/nvidia/version (nvlxc doctor --report)");
}

/* The kernel's own order: the folder of its parameter (NixOS sets it), then updates before the rest, the
 * running kernel's folder before the common one. Source: drivers/base/firmware_loader/main.c. */
static bool has_firmware(const struct nvl_host_facts *facts)
{
    const char *kernel = facts->system.kernel != NULL ? facts->system.kernel : "";
    nvl_auto(nvl_strv_clear) struct nvl_strv folders = {0};
    char parameter[PATH_MAX];

    if (nvl_root_read_attribute(facts->root, FIRMWARE_PATH, parameter, sizeof parameter) == 0 &&
        parameter[0] == '/')
        nvl_strv_push(&folders, parameter);
    nvl_strv_pushf(&folders, "/lib/firmware/updates/%s", kernel);
    nvl_strv_push(&folders, "/lib/firmware/updates");
    nvl_strv_pushf(&folders, "/lib/firmware/%s", kernel);
    nvl_strv_push(&folders, "/lib/firmware");
    for (size_t i = 0; i < folders.count; i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        nvl_autofree char *folder =
            nvl_xasprintf("%s/nvidia/%s", folders.items[i], facts->host.driver.version);
        nvl_root_list(facts->root, folder, &names);
        for (size_t n = 0; n < names.count; n++)
            if (nvl_has_prefix(names.items[n], "gsp"))
                return true;
    }
    return false;
}

static void check_firmware(const struct nvl_check *check, const struct nvl_host_facts *facts,
                           struct nvl_findings *findings)
{
    const char *loaded = facts->host.driver.version;
    const struct nvl_gpu *user = NULL;
    struct nvl_driver_need need = nvl_driver_need_of(facts);
    nvl_auto(nvl_strv_clear) struct nvl_strv fix = {0};
    bool is_upgraded =
        facts->userspace.versions.count > 0 && !nvl_strv_contains(&facts->userspace.versions, loaded);

    for (size_t i = 0; i < facts->host.gpus.count && user == NULL; i++)
        if (facts->host.gpus.items[i].runs_firmware)
            user = &facts->host.gpus.items[i];
    if (user == NULL || has_firmware(facts))
        return;
    nvl_autofree char *title = nvl_xasprintf("the GSP firmware of %s, the loaded driver, is gone", loaded);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_WARNING, title);
    nvl_finding_evidence(f,
                         "/lib/firmware/nvidia/%s has no gsp_*.bin\n/proc/driver/nvidia/gpus/%s/information: "
                         "GPU Firmware: %s",
                         loaded, user->pci, loaded);
    nvl_finding_cause(f, "the module reads it whenever a GPU initializes: after a reset, or when the first "
                         "program opens the GPU again. A package upgrade removes the old version's firmware");
    if (is_upgraded) {
        nvl_strv_push(&fix, "reboot");
        nvl_finding_about(f, NVL_SUBJECT_LIBRARY, NULL); /* by the same upgrade */
    } else {
        nvl_advise_firmware(&need, &fix);
    }
    nvl_finding_fix_lines(f, &fix);
}

const struct nvl_check nvl_module_checks[] = {
    {"driver-secure-boot", "Does Secure Boot let the module load?", 60, 0, "gpu-absent",
     NVL_OF_HOST(check_secure_boot)},
    {"driver-not-loaded", "Is the module loaded?", 70, 0, HOLDERS " " MISFITS, NVL_OF_HOST(check_not_loaded)},
    {"driver-version", "Does nvlxc understand the module's version?", 80, NVL_NEEDS_LOADED, NULL,
     NVL_OF_HOST(check_driver_version)},
    {"firmware-missing", "Is the loaded version's GSP firmware installed?", 150, NVL_NEEDS_VERSION,
     "libraries-mismatch", NVL_OF_HOST(check_firmware)},
    {0},
};
