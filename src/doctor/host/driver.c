/* The kernel module: installed, and built for this kernel. Whether it may load and has loaded is in
 * module.c, what programs need of the driver in libraries.c. */
#include "doctor/families.h"
#include "doctor/host/shared.h"
#include "driver/replace.h"
#include "host/compat.h"

#define HOLDERS "gpu-absent gpu-nouveau gpu-nova gpu-vfio gpu-other-driver"
#define MISFITS "gpu-too-new gpu-too-old gpu-flavour"

bool nvl_driver_is_installed(const struct nvl_host_facts *facts)
{
    const struct nvl_installed_driver *d = &facts->installed;

    return d->module != NULL || d->package != NULL || d->dkms_name != NULL ||
           facts->userspace.versions.count > 0;
}

/* Something is installed, nothing is loaded, and there is no module on disk for this kernel: why? */
static bool lacks_module(const struct nvl_host_facts *facts)
{
    return !facts->host.driver.loaded && nvl_driver_is_installed(facts) && facts->installed.module == NULL &&
           facts->system.kernel != NULL;
}

static bool has_source(const struct nvl_installed_driver *d)
{
    return d->package != NULL || d->dkms_name != NULL;
}

static void add_source_evidence(struct nvl_strv *evidence, const struct nvl_installed_driver *d)
{
    if (d->package != NULL)
        nvl_strv_pushf(evidence, "package %s %s", d->package, d->package_version);
    if (d->dkms_name != NULL)
        nvl_strv_pushf(evidence, "dkms: %s/%s", d->dkms_name, d->dkms_version);
}

static void add_module_evidence(struct nvl_strv *evidence, const struct nvl_host_facts *facts)
{
    nvl_strv_pushf(evidence, "no nvidia module in /lib/modules/%s", facts->system.kernel);
    for (size_t i = 0; i < facts->installed.kernels.count; i++)
        nvl_strv_pushf(evidence, "kernel %s has one", facts->installed.kernels.items[i]);
}

static void check_absent(const struct nvl_check *check, const struct nvl_host_facts *facts,
                         struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv fix = {0};
    struct nvl_driver_need need = nvl_driver_need_of(facts);

    if (facts->host.driver.loaded || nvl_driver_is_installed(facts))
        return;
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, "NVIDIA's driver is not installed");
    nvl_finding_evidence(f, "/proc/driver/nvidia/version does not exist; no libcuda or libnvidia-ml, no dkms "
                            "entry and no package of the driver is here");
    nvl_finding_cause(f, "containers have no driver of their own: they use the host's kernel module, and "
                         "libraries of exactly its version");
    nvl_advise_install(&need, &fix);
    nvl_finding_fix_lines(f, &fix);
}

static void check_headers(const struct nvl_check *check, const struct nvl_host_facts *facts,
                          struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    struct nvl_driver_need need = nvl_driver_need_of(facts);

    if (!lacks_module(facts) || !has_source(&facts->installed) || facts->installed.has_headers)
        return;
    nvl_autofree char *title = nvl_xasprintf(
        "the kernel module was not built: the headers of kernel %s are missing", facts->system.kernel);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, title);
    nvl_strv_pushf(&evidence, "/lib/modules/%s/build leads nowhere", facts->system.kernel);
    add_module_evidence(&evidence, facts);
    add_source_evidence(&evidence, &facts->installed);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f,
                      "dkms builds the module for each kernel from its headers, which the driver's packages "
                      "do not bring: a new kernel came without them, or they were never installed");
    nvl_advise_headers(&need, &fix);
    nvl_advise_build(&need, &fix);
    nvl_finding_fix_lines(f, &fix);
}

static enum nvl_kernel_fit fit_of(const struct nvl_host_facts *facts, const struct nvl_kernel_range **range)
{
    const struct nvl_installed_driver *d = &facts->installed;

    *range = d->version[0] != '\0'
                 ? nvl_support_driver(&facts->support, d->version, d->package_version, d->flavour)
                 : NULL;
    return facts->system.kernel != NULL ? nvl_kernel_fits(*range, facts->system.kernel) : NVL_KERNEL_UNKNOWN;
}

static void add_log_evidence(struct nvl_strv *evidence, const struct nvl_installed_driver *d)
{
    if (d->build_log != NULL)
        nvl_strv_pushf(evidence, "%s:\n  %s", d->build_log,
                       d->build_error != NULL ? d->build_error : "(no line that says error)");
}

static void check_kernel(const struct nvl_check *check, const struct nvl_host_facts *facts,
                         struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    const struct nvl_kernel_range *range;
    enum nvl_kernel_fit fit = fit_of(facts, &range);
    struct nvl_driver_need need = nvl_driver_need_of(facts);

    if (!lacks_module(facts) || (fit != NVL_KERNEL_TOO_NEW && fit != NVL_KERNEL_FAILS))
        return;
    nvl_autofree char *driver = nvl_driver_text(facts->installed.version, facts->installed.flavour);
    nvl_autofree char *title = nvl_xasprintf("kernel %s is %s driver %s", facts->system.kernel,
                                             fit == NVL_KERNEL_TOO_NEW ? "newer than" : "not for", driver);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, title);
    if (range->max != NULL)
        nvl_strv_pushf(&evidence, "driver %s is for kernels up to %s (%s: %s)", facts->installed.version,
                       range->max, range->basis, range->source);
    add_source_evidence(&evidence, &facts->installed);
    add_module_evidence(&evidence, facts);
    add_log_evidence(&evidence, &facts->installed);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f, "the module is built from its own source against each kernel, and this kernel has "
                         "changed what that source uses: the build fails");
    nvl_advise_newer(&need, &fix);
    nvl_finding_fix_lines(f, &fix);
}

static void check_build(const struct nvl_check *check, const struct nvl_host_facts *facts,
                        struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    struct nvl_driver_need need = nvl_driver_need_of(facts);

    if (!lacks_module(facts) || facts->installed.build_log == NULL)
        return;
    nvl_autofree char *title =
        nvl_xasprintf("dkms could not build the kernel module for %s", facts->system.kernel);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, title);
    add_log_evidence(&evidence, &facts->installed);
    add_module_evidence(&evidence, facts);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f, "the first error of the build, above, is what stopped it; errors about structures, "
                         "members or arguments mean that driver and kernel do not fit");
    nvl_advise_build(&need, &fix);
    nvl_strv_push(&fix, "where that fails again, another driver or another kernel:");
    nvl_advise_newer(&need, &fix);
    nvl_finding_fix_lines(f, &fix);
}

static void check_not_built(const struct nvl_check *check, const struct nvl_host_facts *facts,
                            struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    bool source = has_source(&facts->installed);
    struct nvl_driver_need need = nvl_driver_need_of(facts);

    if (!lacks_module(facts))
        return;
    nvl_autofree char *title =
        source ? nvl_xasprintf("the kernel module was not built for %s", facts->system.kernel)
               : nvl_xstrdup("the driver's libraries are installed, but not its kernel module");
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, title);
    add_module_evidence(&evidence, facts);
    add_source_evidence(&evidence, &facts->installed);
    for (size_t i = 0; i < facts->userspace.versions.count; i++)
        nvl_strv_pushf(&evidence, "libraries of %s are installed", facts->userspace.versions.items[i]);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f, "%s",
                      source
                          ? "the kernel was installed when dkms or the headers were not there, or was booted "
                            "before dkms was done"
                          : "a container's installation (--no-kernel-modules) or packages without "
                            "nvidia-kernel-dkms: nothing can drive the GPU");
    if (source)
        nvl_advise_build(&need, &fix);
    else
        nvl_advise_module(&need, &fix);
    nvl_finding_fix_lines(f, &fix);
}

/* It hands slices of a GPU to virtual machines, and is told apart by what it lacks. */
static void check_vgpu(const struct nvl_check *check, const struct nvl_host_facts *facts,
                       struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv fix = {0};
    const struct nvl_strv none = {0};
    struct nvl_driver_need need = nvl_driver_need_of(facts);

    if (facts->installed.origin != NVL_ORIGIN_VGPU)
        return;
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_ERROR,
                         "the driver is NVIDIA's host driver for virtual GPUs (vGPU), which "
                         "has no CUDA");
    nvl_finding_evidence(f, "no libcuda.so.1 is installed; %s",
                         facts->modules.nvidia_vgpu_vfio ? "/proc/modules: nvidia_vgpu_vfio"
                                                         : "libnvidia-vgpu.so is");
    nvl_finding_cause(f,
                      "it divides a GPU among virtual machines, and brings neither libcuda nor nvidia-uvm: "
                      "programs of this host and of containers cannot compute with it");
    nvl_advise_libraries(&need, facts->host.driver.version, &none, &fix);
    nvl_finding_fix_lines(f, &fix);
}

const struct nvl_check nvl_checks_driver[] = {
    {"driver-absent", "Is NVIDIA's driver installed?", "gpu-absent", check_absent, NULL},
    {"headers-missing", "Are the kernel's headers here for the module's build?", "gpu-absent", check_headers,
     NULL},
    {"driver-kernel", "Does the driver fit the running kernel?", "gpu-absent headers-missing", check_kernel,
     NULL},
    {"driver-build-failed", "Did dkms build the module?", "gpu-absent headers-missing driver-kernel",
     check_build, NULL},
    {"driver-not-built", "Is there a module for the running kernel?",
     "gpu-absent headers-missing driver-kernel driver-build-failed", check_not_built, NULL},
    {"driver-secure-boot", "Does Secure Boot let the module load?", "gpu-absent", nvl_check_secure_boot,
     NULL},
    {"driver-not-loaded", "Is the module loaded?", HOLDERS " " MISFITS, nvl_check_not_loaded, NULL},
    {"driver-version", "Is the module's version understood?", NULL, nvl_check_driver_version, NULL},
    {"driver-vgpu", "Is it a driver that has CUDA?", NULL, check_vgpu, NULL},
    {"libraries-absent", "Are the driver's libraries installed?", "driver-vgpu", nvl_check_libraries_absent,
     NULL},
    {"libraries-mismatch", "Do libraries and module fit?", NULL, nvl_check_libraries_mismatch, NULL},
    {"upgrade-pending", "Does no upgrade wait for a reboot?", NULL, nvl_check_upgrade_pending, NULL},
    {"libraries-incomplete", "Are the libraries here that containers are granted?",
     "driver-vgpu libraries-absent libraries-mismatch", nvl_check_libraries_incomplete, NULL},
    {"bundle-absent", "Is there a bundle of the loaded version?", "libraries-absent libraries-mismatch",
     nvl_check_bundle_absent, NULL},
    {"bundle-damaged", "Are the bundles as their manifests say?", "libraries-absent libraries-mismatch",
     nvl_check_bundle_damaged, NULL},
    {"firmware-missing", "Is the loaded version's GSP firmware here?", NULL, nvl_check_firmware, NULL},
    {0},
};
