/* The kernel module: installed, and built for this kernel. Whether it may load and has loaded is in
 * module.c, what programs need of the driver in libraries.c. */
#include "doctor/families.h"
#include "doctor/host/shared.h"

static bool has_source(const struct nvl_installed_driver *d)
{
    return d->package != NULL || d->dkms_name != NULL;
}

static void add_build(struct nvl_strv *fix, const struct nvl_host_facts *facts)
{
    const char *name = facts->installed.dkms_name;
    bool is_current = name == NULL || strcmp(name, "nvidia-current") == 0; /* the packages' default */

    nvl_strv_pushf(fix, "dkms autoinstall -k %s", facts->system.kernel);
    nvl_strv_pushf(fix, "modprobe %s", is_current ? "nvidia-current" : name);
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

    if (facts->host.driver.loaded || nvl_driver_is_installed(facts))
        return;
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, "NVIDIA's driver is not installed");
    nvl_finding_about_module(f, facts);
    nvl_finding_explains(f, NVL_SUBJECT_LIBRARY, NULL);
    nvl_finding_evidence(f, "/proc/driver/nvidia/version does not exist; no libcuda or libnvidia-ml, no dkms "
                            "entry and no package of the driver is here");
    nvl_finding_cause(f, "containers have no driver of their own: they use the host's kernel module, and "
                         "libraries of exactly its version");
    if (nvl_has_apt(&facts->system)) {
        nvl_strv_push(&fix, "nvlxc host setup");
        nvl_strv_push(&fix,
                      "or by hand, from contrib, non-free and non-free-firmware (stop where apt wants to "
                      "remove a package):");
        nvl_add_headers_install(&fix, &facts->system);
        nvl_strv_push(&fix, "apt install nvidia-kernel-dkms nvidia-smi libcuda1 libnvidia-encode1 "
                            "libnvidia-cfg1 nvidia-persistenced nvidia-modprobe");
        nvl_strv_push(&fix, "reboot");
    } else {
        nvl_strv_push(&fix, "install NVIDIA's driver, with its kernel module, from the distribution");
    }
    nvl_finding_fix_lines(f, &fix);
}

static void check_headers_missing(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                  struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};

    if (!has_source(&facts->installed) || facts->installed.has_headers)
        return;
    nvl_autofree char *title = nvl_xasprintf(
        "the kernel module was not built: the headers of kernel %s are missing", facts->system.kernel);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, title);
    nvl_finding_about_module(f, facts);
    nvl_strv_pushf(&evidence, "/lib/modules/%s/build leads nowhere", facts->system.kernel);
    add_module_evidence(&evidence, facts);
    add_source_evidence(&evidence, &facts->installed);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f,
                      "dkms builds the module for each kernel from its headers, which the driver's packages "
                      "do not bring: a new kernel came without them, or they were never installed");
    nvl_add_headers_install(&fix, &facts->system);
    add_build(&fix, facts);
    nvl_finding_fix_lines(f, &fix);
}

/* A row of the table whose driver fits this kernel: from this release's own suites, or (without `codename`)
 * from NVIDIA. */
static const struct nvl_kernel_range *find_fitting(const struct nvl_host_facts *facts, const char *codename)
{
    const struct nvl_kernel_range *best = NULL;
    const char *flavour = nvl_flavour_name(facts->installed.flavour);

    for (size_t i = 0; i < facts->support.n_kernels; i++) {
        const struct nvl_kernel_range *row = &facts->support.kernels[i];
        bool is_from = codename != NULL ? row->suite != NULL && nvl_has_prefix(row->suite, codename)
                                        : row->package == NULL;
        bool has_flavour = row->flavour == NULL || flavour == NULL || strcmp(row->flavour, flavour) == 0;
        if (is_from && has_flavour && best == NULL &&
            nvl_kernel_fits(row, facts->system.kernel) == NVL_KERNEL_FITS)
            best = row;
    }
    return best;
}

static void add_backports_pin(struct nvl_strv *fix, const char *suite)
{
    nvl_strv_pushf(fix,
                   "printf 'Package: src:nvidia-graphics-drivers src:nvidia-open-gpu-kernel-modules\\n"
                   "Pin: release n=%s\\nPin-Priority: 500\\n' > /etc/apt/preferences.d/nvlxc",
                   suite);
}

/* A driver that fits the kernel, or a kernel that fits the driver. */
static void add_kernel_fix(struct nvl_strv *fix, const struct nvl_host_facts *facts)
{
    const struct nvl_installed_driver *d = &facts->installed;
    const struct nvl_kernel_range *ours =
        facts->system.codename != NULL ? find_fitting(facts, facts->system.codename) : NULL;
    const struct nvl_kernel_range *nvidias = find_fitting(facts, NULL);

    if (ours != NULL) {
        if (strstr(ours->suite, "-backports") != NULL)
            add_backports_pin(fix, ours->suite);
        nvl_strv_pushf(fix, "apt update && apt install %s   # %s, from %s",
                       d->package != NULL ? d->package : "nvidia-kernel-dkms", ours->package, ours->suite);
    } else if (nvidias != NULL) {
        nvl_strv_pushf(fix, "install NVIDIA's driver %s or newer: sh NVIDIA-Linux-x86_64-VERSION.run --dkms",
                       nvidias->from != NULL ? nvidias->from : nvidias->branch);
    } else {
        nvl_strv_pushf(fix,
                       "install the newest driver from NVIDIA: sh NVIDIA-Linux-x86_64-VERSION.run --dkms");
    }
    if (d->kernels.count == 0)
        return;
    if (facts->system.is_proxmox)
        nvl_strv_pushf(fix, "or: proxmox-boot-tool kernel pin %s && reboot", d->kernels.items[0]);
    else
        nvl_strv_pushf(fix, "or reboot into kernel %s, which has the module", d->kernels.items[0]);
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
    nvl_finding_cause(f, "the module is built from its own source against each kernel, and this kernel has "
                         "changed what that source uses: the build fails");
    add_kernel_fix(&fix, facts);
    nvl_finding_fix_lines(f, &fix);
}

static void check_driver_build(const struct nvl_check *check, const struct nvl_host_facts *facts,
                               struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};

    if (facts->installed.build_log == NULL)
        return;
    nvl_autofree char *title =
        nvl_xasprintf("dkms could not build the kernel module for %s", facts->system.kernel);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, title);
    nvl_finding_about_module(f, facts);
    add_log_evidence(&evidence, &facts->installed);
    add_module_evidence(&evidence, facts);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f, "the first error of the build, above, is what stopped it; errors about structures, "
                         "members or arguments mean that driver and kernel do not fit");
    add_build(&fix, facts);
    nvl_strv_push(&fix, "where that fails again, another driver or another kernel:");
    add_kernel_fix(&fix, facts);
    nvl_finding_fix_lines(f, &fix);
}

static void check_not_built(const struct nvl_check *check, const struct nvl_host_facts *facts,
                            struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    bool source = has_source(&facts->installed);

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
    nvl_finding_cause(f, "%s",
                      source
                          ? "the kernel was installed when dkms or the headers were not there, or was booted "
                            "before dkms was done"
                          : "a container's installation (--no-kernel-modules) or packages without "
                            "nvidia-kernel-dkms: nothing can drive the GPU");
    if (!source) {
        nvl_add_headers_install(&fix, &facts->system);
        nvl_strv_push(&fix, "apt install nvidia-kernel-dkms");
    }
    add_build(&fix, facts);
    nvl_finding_fix_lines(f, &fix);
}

const struct nvl_check nvl_driver_checks[] = {
    {"driver-absent", "Is NVIDIA's driver installed?", 10, 0, "gpu-absent", NVL_OF_HOST(check_driver_absent)},
    {"headers-missing", "Are the kernel's headers here for the module's build?", 20, NVL_NEEDS_UNBUILT,
     "gpu-absent", NVL_OF_HOST(check_headers_missing)},
    {"driver-kernel", "Does the driver fit the running kernel?", 30, NVL_NEEDS_UNBUILT,
     "gpu-absent headers-missing", NVL_OF_HOST(check_driver_kernel)},
    {"driver-build-failed", "Did dkms build the module?", 40, NVL_NEEDS_UNBUILT,
     "gpu-absent headers-missing driver-kernel", NVL_OF_HOST(check_driver_build)},
    {"driver-not-built", "Is there a module for the running kernel?", 50, NVL_NEEDS_UNBUILT,
     "gpu-absent headers-missing driver-kernel driver-build-failed", NVL_OF_HOST(check_not_built)},
    {0},
};
