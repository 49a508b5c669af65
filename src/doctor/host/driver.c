/* The kernel module: installed, and built for this kernel. module.c checks whether it may load and has
 * loaded, libraries.c what programs need of the driver. */
#include "doctor/families.h"
#include "doctor/host/shared.h"
#include "driver/replace.h"
#include "host/compat.h"

/* A distribution that builds modules by its own means has built one for another kernel. */
static bool has_source(const struct nvl_installed_driver *d)
{
    return d->package != NULL || d->dkms_name != NULL ||
           (d->origin == NVL_ORIGIN_DISTRIBUTION && d->kernels.count > 0);
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

static void check_driver_absent(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv fix = {0};
    struct nvl_driver_need need = nvl_driver_need_of(facts);

    if (facts->host.driver.loaded || nvl_driver_is_installed(facts))
        return;
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, "NVIDIA's driver is not installed");
    nvl_finding_about_module(f, facts);
    nvl_finding_explains(f, NVL_SUBJECT_LIBRARY, NULL);
    nvl_finding_evidence(f, "/proc/driver/nvidia/version does not exist; the host has no libcuda or "
                            "libnvidia-ml, no dkms entry and no package of the driver");
    nvl_finding_cause(f, "containers use the host's kernel module, and libraries of exactly its version: "
                         "without a driver on the host they have no GPU");
    nvl_advise_install(&need, &fix);
    nvl_finding_fix_lines(f, &fix);
}

/* An upgrade of the kernel's package on a distribution that keeps only one, such as Arch. */
static void check_kernel_replaced(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                  struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv kernels = {0};

    nvl_root_list(facts->root, "/lib/modules", &kernels);
    if (kernels.count == 0 || nvl_strv_contains(&kernels, facts->system.kernel))
        return;
    nvl_autofree char *list = nvl_strv_join(&kernels, ", ");
    nvl_autofree char *title =
        nvl_xasprintf("the modules of the running kernel, %s, are gone", facts->system.kernel);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, title);
    nvl_finding_about_module(f, facts);
    nvl_finding_evidence(f, "/lib/modules has %s", list);
    nvl_finding_cause(f,
                      "an upgrade replaced the kernel while it runs: no module can be loaded until the new "
                      "one runs");
    nvl_finding_fix(f, "reboot");
}

static void check_headers_missing(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                  struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    struct nvl_driver_need need = nvl_driver_need_of(facts);

    if (!has_source(&facts->installed) || facts->installed.has_headers)
        return;
    nvl_autofree char *title = nvl_xasprintf(
        "the kernel module was not built: the headers of kernel %s are missing", facts->system.kernel);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, title);
    nvl_finding_about_module(f, facts);
    nvl_strv_pushf(&evidence, "/lib/modules/%s/build does not exist, or is a broken link",
                   facts->system.kernel);
    add_module_evidence(&evidence, facts);
    add_source_evidence(&evidence, &facts->installed);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f,
                      "dkms builds the module for each kernel from that kernel's headers, which the driver's "
                      "packages do not bring: a new kernel came without them, or they were never installed");
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

static void check_driver_kernel(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    const struct nvl_kernel_range *range;
    enum nvl_kernel_fit fit = fit_of(facts, &range);
    struct nvl_driver_need need = nvl_driver_need_of(facts);

    if (fit != NVL_KERNEL_TOO_NEW && fit != NVL_KERNEL_FAILS)
        return;
    nvl_autofree char *driver = nvl_driver_text(facts->installed.version, facts->installed.flavour);
    nvl_autofree char *title = nvl_xasprintf("kernel %s is %s driver %s", facts->system.kernel,
                                             fit == NVL_KERNEL_TOO_NEW ? "newer than" : "not for", driver);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, title);
    nvl_finding_about_module(f, facts);
    if (range->max != NULL)
        nvl_strv_pushf(&evidence, "driver %s is for kernels up to %s (%s: %s)", facts->installed.version,
                       range->max, range->basis, range->source);
    add_source_evidence(&evidence, &facts->installed);
    add_module_evidence(&evidence, facts);
    add_log_evidence(&evidence, &facts->installed);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f, "dkms builds the module from the driver's source against each kernel, and this "
                         "kernel changed what that source uses: the build fails");
    nvl_advise_newer(&need, &fix);
    nvl_finding_fix_lines(f, &fix);
}

static void check_driver_build(const struct nvl_check *check, const struct nvl_host_facts *facts,
                               struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    struct nvl_driver_need need = nvl_driver_need_of(facts);

    if (facts->installed.build_log == NULL)
        return;
    nvl_autofree char *title =
        nvl_xasprintf("dkms could not build the kernel module for %s", facts->system.kernel);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, title);
    nvl_finding_about_module(f, facts);
    add_log_evidence(&evidence, &facts->installed);
    add_module_evidence(&evidence, facts);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f, "the first error of the build, above, stopped it; errors about structures, members "
                         "or arguments mean that driver and kernel do not fit together");
    nvl_advise_build(&need, &fix);
    nvl_strv_push(&fix, "if that fails again, install another driver or another kernel:");
    nvl_advise_newer(&need, &fix);
    nvl_finding_fix_lines(f, &fix);
}

static void check_not_built(const struct nvl_check *check, const struct nvl_host_facts *facts,
                            struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    bool source = has_source(&facts->installed);
    struct nvl_driver_need need = nvl_driver_need_of(facts);

    nvl_autofree char *title =
        source ? nvl_xasprintf("the kernel module was not built for %s", facts->system.kernel)
               : nvl_xstrdup("the driver's libraries are installed, but not its kernel module");
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, title);
    nvl_finding_about_module(f, facts);
    add_module_evidence(&evidence, facts);
    add_source_evidence(&evidence, &facts->installed);
    for (size_t i = 0; i < facts->userspace.versions.count; i++)
        nvl_strv_pushf(&evidence, "libraries of %s are installed", facts->userspace.versions.items[i]);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(
        f, "%s",
        source ? "the module is built for each kernel, by dkms or by the distribution: this kernel was "
                 "installed "
                 "before that or before its headers, or was booted before the build was done"
               : "the driver was installed as for a container (--no-kernel-modules), or its packages without "
                 "nvidia-kernel-dkms: nothing can drive the GPU");
    if (source)
        nvl_advise_build(&need, &fix);
    else
        nvl_advise_module(&need, &fix);
    nvl_finding_fix_lines(f, &fix);
}

/* The driver that hands slices of a GPU to virtual machines; it is recognized by what it lacks. */
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
    nvl_finding_about(f, NVL_SUBJECT_LIBRARY, NULL);
    nvl_finding_explains(f, NVL_SUBJECT_NODE, "/dev/nvidia-uvm");
    nvl_finding_explains(f, NVL_SUBJECT_NODE, "/dev/nvidia-uvm-tools");
    nvl_finding_evidence(f, "no libcuda.so.1 is installed; %s",
                         facts->modules.nvidia_vgpu_vfio ? "/proc/modules: nvidia_vgpu_vfio"
                                                         : "libnvidia-vgpu.so is");
    nvl_finding_cause(f, "this driver divides a GPU among virtual machines, and brings neither libcuda nor "
                         "nvidia-uvm: programs on this host and in containers cannot use CUDA");
    nvl_advise_libraries(&need, facts->host.driver.version, &none, &fix);
    nvl_finding_fix_lines(f, &fix);
}

const struct nvl_check nvl_driver_checks[] = {
    {"driver-absent", "Is NVIDIA's driver installed?", 10, 0, "gpu-absent", NVL_OF_HOST(check_driver_absent)},
    {"kernel-replaced", "Are the running kernel's modules there?", 15, NVL_NEEDS_UNBUILT, "gpu-absent",
     NVL_OF_HOST(check_kernel_replaced)},
    {"headers-missing", "Are the kernel's headers installed, to build the module?", 20, NVL_NEEDS_UNBUILT,
     "gpu-absent kernel-replaced", NVL_OF_HOST(check_headers_missing)},
    {"driver-kernel", "Does the driver fit the running kernel?", 30, NVL_NEEDS_UNBUILT,
     "gpu-absent kernel-replaced headers-missing", NVL_OF_HOST(check_driver_kernel)},
    {"driver-build-failed", "Did dkms build the module?", 40, NVL_NEEDS_UNBUILT,
     "gpu-absent kernel-replaced headers-missing driver-kernel", NVL_OF_HOST(check_driver_build)},
    {"driver-not-built", "Is there a module for the running kernel?", 50, NVL_NEEDS_UNBUILT,
     "gpu-absent kernel-replaced headers-missing driver-kernel driver-build-failed",
     NVL_OF_HOST(check_not_built)},
    {"driver-vgpu", "Does the driver have CUDA?", 85, 0, NULL, NVL_OF_HOST(check_vgpu)},
    {0},
};
