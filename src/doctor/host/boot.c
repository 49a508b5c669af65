/* What the next boot and the next kernel will bring: blacklists, the initramfs, headers. guests.c checks what
 * containers need of the host when they start; the table has the rows of both. */
#include <sys/stat.h>

#include "doctor/families.h"
#include "doctor/host/shared.h"
#include "host/boot_commands.h"
#include "host/gpu_reason.h"
#include "host/modprobe.h"

static bool kernel_has(const struct nvl_host_facts *facts, const char *folder)
{
    nvl_autofree char *modules =
        nvl_xasprintf("/lib/modules/%s/kernel", facts->system.kernel != NULL ? facts->system.kernel : "-");
    nvl_autofree char *path = nvl_xasprintf("%s/%s", modules, folder);

    return nvl_root_exists(facts->root, path);
}

/* Whether the folder of the kernel's modules exists and can be read. */
static bool knows_kernel(const struct nvl_host_facts *facts)
{
    return kernel_has(facts, "drivers");
}

static bool is_kept_out(const struct nvl_host_facts *facts, const char *module,
                        struct nvl_modprobe_lines *lines)
{
    static const struct {
        const char *before, *behind; /* words of the kernel's command line around the module's name */
    } forms[] = {{"modprobe.blacklist=", ""},
                 {"module_blacklist=", ""},
                 {"rd.driver.blacklist=", ""},
                 {"", ".modeset=0"}};

    nvl_modprobe_find(&facts->modprobe, "blacklist", module, lines);
    nvl_modprobe_find(&facts->modprobe, "install", module, lines);
    for (size_t i = 0; i < NVL_LENGTH(forms); i++) {
        nvl_autofree char *word = nvl_xasprintf("%s%s%s", forms[i].before, module, forms[i].behind);
        if (nvl_cmdline_has(&facts->modprobe, word))
            return true;
    }
    return lines->count > 0;
}

static void say_not_kept_out(const struct nvl_check *check, const struct nvl_host_facts *facts,
                             const char *module, const char *lines, struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv fix = {0};
    nvl_autofree char *title = nvl_xasprintf("nothing keeps %s from taking the GPU at the next boot", module);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_WARNING, title);

    nvl_finding_about(f, NVL_SUBJECT_MODULE, module);
    nvl_finding_evidence(f,
                         "no line \"blacklist %s\" in /etc/modprobe.d, /run/modprobe.d or "
                         "/usr/lib/modprobe.d, and none in /proc/cmdline",
                         module);
    nvl_finding_cause(
        f, "whichever driver loads first gets the GPU. Debian's blacklist comes with libcuda1 and the "
           "graphics packages, not with the kernel module; Proxmox VE's own blacklist names only nvidiafb");
    nvl_strv_pushf(&fix, "printf '%s' >> " NVL_MODPROBE_FILE, lines);
    nvl_add_boot_commands(&facts->system, NVL_BOOT_INITRAMFS, &fix);
    nvl_finding_fix_lines(f, &fix);
}

static void check_nouveau_blacklist(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                    struct nvl_findings *findings)
{
    nvl_auto(nvl_modprobe_lines_clear) struct nvl_modprobe_lines lines = {0};

    if ((knows_kernel(facts) && !kernel_has(facts, "drivers/gpu/drm/nouveau")) ||
        is_kept_out(facts, "nouveau", &lines))
        return;
    say_not_kept_out(check, facts, "nouveau", "blacklist nouveau\\n", findings);
}

static void check_nova_blacklist(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                 struct nvl_findings *findings)
{
    nvl_auto(nvl_modprobe_lines_clear) struct nvl_modprobe_lines lines = {0};

    if (!kernel_has(facts, "drivers/gpu/nova-core") || is_kept_out(facts, "nova_core", &lines))
        return;
    say_not_kept_out(check, facts, "nova_core", "blacklist nova_core\\nblacklist nova_drm\\n", findings);
}

static void check_initramfs(const struct nvl_check *check, const struct nvl_host_facts *facts,
                            struct nvl_findings *findings)
{
    nvl_auto(nvl_modprobe_lines_clear) struct nvl_modprobe_lines lines = {0};
    struct stat image, st;

    if (facts->system.kernel == NULL)
        return;
    nvl_autofree char *path = nvl_xasprintf("/boot/initrd.img-%s", facts->system.kernel);
    if (nvl_root_stat(facts->root, path, 0, &image) < 0)
        return;
    nvl_modprobe_find(&facts->modprobe, "blacklist", "nouveau", &lines);
    for (size_t i = 0; i < lines.count; i++) {
        if (nvl_root_stat(facts->root, lines.items[i].file, 0, &st) < 0 || st.st_mtime <= image.st_mtime)
            continue;
        struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_WARNING,
                                                 "the initramfs is older than the blacklist of nouveau");
        nvl_finding_about(f, NVL_SUBJECT_MODULE, "nouveau");
        nvl_finding_evidence(f, "%s was written %lld seconds before %s", path,
                             (long long)(st.st_mtime - image.st_mtime), lines.items[i].file);
        nvl_finding_cause(f, "the initramfs has its own copy of modprobe's configuration and loads modules "
                             "before the root file system is mounted: nouveau in it can take the GPU");
        nvl_auto(nvl_strv_clear) struct nvl_strv fix = {0};
        nvl_add_boot_commands(&facts->system, NVL_BOOT_INITRAMFS, &fix);
        nvl_finding_fix_lines(f, &fix);
        return;
    }
}

/* "proxmox-headers-6.14" follows one series, like that series' kernel package. */
static bool has_series_headers(const struct nvl_host_facts *facts)
{
    const char *kernel = facts->system.kernel;
    size_t len = strcspn(kernel, ".");

    len += kernel[len] == '.' ? 1 + strspn(kernel + len + 1, "0123456789") : 0;
    nvl_autofree char *name = nvl_xasprintf("proxmox-headers-%.*s", (int)len, kernel);
    return nvl_package_is_installed(facts->root, name);
}

static void check_headers_kept(const struct nvl_check *check, const struct nvl_host_facts *facts,
                               struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv fix = {0};
    struct nvl_driver_need need = nvl_driver_need_of(facts);
    nvl_autofree char *meta = nvl_headers_meta_package(&facts->system);

    if (facts->installed.dkms_name == NULL || meta == NULL ||
        !nvl_root_exists(facts->root, "/var/lib/dpkg/status"))
        return;
    if (nvl_package_is_installed(facts->root, meta) ||
        (facts->system.is_proxmox && has_series_headers(facts)))
        return;
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_WARNING,
                         "the next kernel will come without its headers, and so without the driver's module");
    nvl_finding_about(f, NVL_SUBJECT_MODULE, "nvidia");
    nvl_finding_evidence(f, "package %s is not installed; dkms builds %s/%s", meta,
                         facts->installed.dkms_name, facts->installed.dkms_version);
    nvl_finding_cause(
        f, "dkms builds the module for a new kernel only if that kernel's headers are installed; this "
           "package brings them with each kernel. Without it the GPU is gone after a kernel update");
    nvl_advise_headers(&need, &fix);
    nvl_finding_fix_lines(f, &fix);
}

/* Whether NVIDIA's driver has a GPU, now or according to the configuration. */
static bool has_gpu_for_nvidia(const struct nvl_host_facts *facts)
{
    for (size_t i = 0; i < facts->host.gpus.count; i++)
        if (facts->host.gpus.items[i].driver != NVL_GPU_VFIO && facts->reasons[i].state != NVL_GPU_IS_VIRTUAL)
            return true;
    return false;
}

/* Left over from a time when a virtual machine had the GPU. If the module exists and is not loaded,
 * driver-not-loaded reports that. */
static void check_kept_out(const struct nvl_check *check, const struct nvl_host_facts *facts,
                           struct nvl_findings *findings)
{
    nvl_auto(nvl_claims_clear) struct nvl_claims barriers = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};

    if (!has_gpu_for_nvidia(facts))
        return;
    nvl_nvidia_barriers_read(facts->root, &facts->modprobe, &barriers);
    if (barriers.count == 0)
        return;
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_WARNING,
                         "this host's configuration keeps NVIDIA's driver from loading at the next boot");
    nvl_finding_about(f, NVL_SUBJECT_MODULE, "nvidia");
    nvl_claims_evidence(&barriers, &evidence);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f, "such a line reserves the GPU for a virtual machine: after a boot nothing drives "
                         "it, and containers that need its nodes do not start");
    nvl_claims_fix(&barriers, &facts->system, false, &fix);
    nvl_finding_fix_lines(f, &fix);
}

/* The ids are configured and the GPU is not bound yet; the GPU's family reports the claim of a VM. */
static void check_vfio_ids(const struct nvl_check *check, const struct nvl_host_facts *facts,
                           struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->host.gpus.count; i++) {
        const struct nvl_gpu *gpu = &facts->host.gpus.items[i];
        nvl_auto(nvl_claims_clear) struct nvl_claims claims = {0};
        nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
        if (gpu->driver == NVL_GPU_VFIO || facts->reasons[i].state == NVL_GPU_IS_VIRTUAL)
            continue;
        nvl_module_claims_read(facts->root, &facts->modprobe, gpu, "vfio-pci", &claims);
        if (claims.count == 0)
            continue;
        nvl_autofree char *title =
            nvl_xasprintf("vfio-pci is told to take the GPU %s (10de:%04x), but has not taken it yet",
                          gpu->pci, gpu->pci_device);
        struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_WARNING, title);
        nvl_finding_about(f, NVL_SUBJECT_GPU, gpu->pci);
        nvl_claims_evidence(&claims, &evidence);
        nvl_finding_evidence_lines(f, &evidence);
        nvl_finding_cause(f, "vfio-pci takes the GPU as soon as it loads before NVIDIA's driver: at the next "
                             "boot, or while no driver holds the GPU");
        nvl_claims_fix(&claims, &facts->system, false, &fix);
        nvl_finding_fix_lines(f, &fix);
    }
}

const struct nvl_check nvl_boot_checks[] = {
    {"nouveau-blacklist", "Is nouveau kept out at the next boot?", 10, NVL_NEEDS_NVIDIA, "gpu-nouveau",
     NVL_OF_HOST(check_nouveau_blacklist)},
    {"nova-blacklist", "Is nova_core kept out at the next boot?", 20, NVL_NEEDS_NVIDIA, "gpu-nova",
     NVL_OF_HOST(check_nova_blacklist)},
    {"nvidia-kept-out", "Will NVIDIA's driver load at the next boot?", 22, 0, "driver-not-loaded",
     NVL_OF_HOST(check_kept_out)},
    {"vfio-ids", "Will vfio-pci leave the GPUs alone at the next boot?", 25, 0, NULL,
     NVL_OF_HOST(check_vfio_ids)},
    {"initramfs-old", "Does the initramfs contain the blacklist?", 30, NVL_NEEDS_NVIDIA, "gpu-nouveau",
     NVL_OF_HOST(check_initramfs)},
    {"headers-not-kept", "Will the next kernel come with its headers?", 40, NVL_NEEDS_NVIDIA,
     "headers-missing", NVL_OF_HOST(check_headers_kept)},
    {0},
};
