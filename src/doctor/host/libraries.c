/* What programs need of the driver: its libraries, of the loaded module's version, and the bundle of them
 * that containers get. */
#include "doctor/host/shared.h"
#include "doctor/families.h"
#include "bundle/manifest.h"
#include "bundle/select.h"

#define VERSION_FILE "/proc/driver/nvidia/version"
#define MANY_FAULTS  8

static bool is_served(const struct nvl_host_facts *facts)
{
    const struct nvl_bundle *bundle = nvl_loaded_bundle(facts);

    return bundle != NULL && bundle->complete;
}

static void add_version_evidence(struct nvl_strv *evidence, const struct nvl_host_facts *facts)
{
    const char *loaded = facts->host.driver.version;

    nvl_add_first_line(evidence, facts->root, VERSION_FILE);
    for (size_t i = 0; i < facts->userspace.n_dirs; i++)
        if (facts->userspace.dirs[i].elf == NVL_ELF_64)
            nvl_strv_pushf(evidence, "%s: libraries of %s", facts->userspace.dirs[i].path,
                           facts->userspace.dirs[i].version);
    const struct nvl_bundle *bundle = nvl_loaded_bundle(facts);
    nvl_strv_pushf(evidence, "%s/%s: %s", "/var/lib/nvlxc/driver", loaded,
                   bundle == NULL     ? "no bundle"
                   : bundle->complete ? "the bundle of the loaded version"
                                      : "a bundle whose manifest cannot be read");
}

/* A bundle without its manifest does not count as one until there are libraries to make it from, or another
 * version is loaded. */
static void explain_useless_bundle(struct nvl_finding *f, const struct nvl_host_facts *facts)
{
    const struct nvl_bundle *bundle = nvl_loaded_bundle(facts);

    if (bundle != NULL && !bundle->complete)
        nvl_finding_explains(f, NVL_SUBJECT_BUNDLE, bundle->version);
}

static void check_libraries_absent(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                   struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    const struct nvl_strv none = {0};
    struct nvl_driver_need need = nvl_driver_need_of(facts);
    const char *loaded = facts->host.driver.version;
    bool served = is_served(facts);

    if (facts->userspace.versions.count > 0)
        return;
    nvl_autofree char *title =
        nvl_xasprintf("%s is loaded, but no libraries of the driver are installed%s", loaded,
                      served ? "; containers use the bundle of that version" : ": containers get no driver");
    struct nvl_finding *f =
        nvl_host_finding(findings, check, served ? NVL_SEVERITY_WARNING : NVL_SEVERITY_ERROR, title);
    nvl_finding_about(f, NVL_SUBJECT_LIBRARY, NULL);
    explain_useless_bundle(f, facts);
    add_version_evidence(&evidence, facts);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(
        f, "%s",
        facts->installed.origin == NVL_ORIGIN_DEBIAN
            ? "only the kernel module is installed. Debian's nvidia-driver merely recommends "
              "libcuda1 and nvidia-smi: with --no-install-recommends they are left out"
            : "only the kernel module is installed, or its libraries are in none of the folders "
              "that nvlxc knows");
    nvl_advise_libraries(&need, loaded, &none, &fix);
    nvl_strv_push(&fix, "nvlxc driver sync");
    nvl_finding_fix_lines(f, &fix);
}

static bool has_loaded_version(const struct nvl_host_facts *facts)
{
    return nvl_strv_contains(&facts->userspace.versions, facts->host.driver.version);
}

static bool is_upgrade(const struct nvl_host_facts *facts)
{
    return nvl_version_compare(facts->userspace.versions.items[0], facts->host.driver.version) > 0;
}

/* If only libraries of other versions are installed. */
static bool is_mismatch(const struct nvl_host_facts *facts)
{
    return facts->userspace.versions.count > 0 && !has_loaded_version(facts);
}

static void check_libraries_mismatch(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                     struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    struct nvl_driver_need need = nvl_driver_need_of(facts);
    const char *loaded = facts->host.driver.version;
    bool served = is_served(facts);

    if (!is_mismatch(facts) || (served && is_upgrade(facts)))
        return;
    nvl_autofree char *list = nvl_strv_join(&facts->userspace.versions, ", ");
    nvl_autofree char *title = nvl_xasprintf(
        "%s is loaded, %s installed: %s", loaded, list,
        served              ? "they do not match; containers use the bundle of the loaded version"
        : is_upgrade(facts) ? "an upgrade waits for its reboot, and containers get no driver until then"
                            : "they do not match, and containers get no driver");
    struct nvl_finding *f =
        nvl_host_finding(findings, check, served ? NVL_SEVERITY_WARNING : NVL_SEVERITY_ERROR, title);
    nvl_finding_about(f, NVL_SUBJECT_LIBRARY, NULL);
    explain_useless_bundle(f, facts);
    add_version_evidence(&evidence, facts);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f, "libraries work only with the kernel module of exactly their version. NVML says "
                         "\"Driver/library version mismatch\", CUDA gives error 803");
    if (is_upgrade(facts)) {
        nvl_strv_push(&fix, "reboot");
    } else {
        nvl_advise_mismatch(&need, loaded, facts->userspace.versions.items[0], &fix);
        nvl_strv_push(&fix, "nvlxc driver sync");
    }
    nvl_finding_fix_lines(f, &fix);
}

static void check_upgrade_pending(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                  struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    const char *loaded = facts->host.driver.version;

    if (!is_mismatch(facts) || !is_served(facts) || !is_upgrade(facts))
        return;
    nvl_autofree char *title =
        nvl_xasprintf("upgrade pending, reboot when convenient: %s is loaded, %s installed", loaded,
                      facts->userspace.versions.items[0]);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_NOTE, title);
    add_version_evidence(&evidence, facts);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f,
                      "containers still use the bundle of %s, which is the right one; programs of the host "
                      "itself (nvidia-smi) fail until the reboot",
                      loaded);
    nvl_finding_fix(f, "reboot");
}

static unsigned granted_capabilities(const struct nvl_host_facts *facts)
{
    unsigned capabilities = 0;

    for (size_t i = 0; i < facts->n_users; i++)
        capabilities |= facts->users[i].capabilities;
    return capabilities;
}

/* Without these the capability does not work at all. */
static bool names_essential(const char *missing)
{
    static const char *const names[] = {
        "libcuda.so.1",     "libnvidia-ptxjitcompiler", "libnvidia-ml.so.1", "nvidia-smi ",
        "libnvcuvid.so.1",  "libnvidia-encode",         "libGLX_nvidia",     "libEGL_nvidia",
        "libnvidia-glcore", "libnvidia-eglcore",        "libnvidia-ngx",     "none of its "};

    for (size_t i = 0; i < NVL_LENGTH(names); i++)
        if (strstr(missing, names[i]) != NULL)
            return true;
    return false;
}

static void say_missing(const struct nvl_check *check, const struct nvl_host_facts *facts,
                        const struct nvl_missing *missing, unsigned capability, struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, packages = {0}, fix = {0};
    struct nvl_driver_need need = nvl_driver_need_of(facts);
    nvl_autofree char *word = nvl_capabilities_format(capability);
    bool essential = false;

    for (size_t i = 0; i < missing->count; i++) {
        const struct nvl_missing_files *m = &missing->items[i];
        if (m->capability != capability)
            continue;
        nvl_strv_push(&evidence, m->text);
        for (size_t p = 0; p < m->packages.count; p++)
            nvl_strv_push(&packages, m->packages.items[p]);
        essential |= names_essential(m->text);
    }
    if (evidence.count == 0)
        return;
    nvl_autofree char *granted = nvl_granted_names(facts);
    nvl_autofree char *title =
        nvl_xasprintf("containers are granted %s, but some of its libraries are not on this host", word);
    struct nvl_finding *f =
        nvl_host_finding(findings, check, essential ? NVL_SEVERITY_WARNING : NVL_SEVERITY_NOTE, title);
    nvl_finding_about(f, NVL_SUBJECT_LIBRARY, NULL);
    nvl_strv_pushf(&evidence, "containers with a grant: %s", granted);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f, "a bundle holds what is installed on the host: what is missing here is missing in "
                         "containers, and programs report that they cannot load it");
    nvl_advise_libraries(&need, facts->host.driver.version, &packages, &fix);
    nvl_strv_push(&fix, "nvlxc driver sync");
    nvl_finding_fix_lines(f, &fix);
}

static void check_libraries_incomplete(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                       struct nvl_findings *findings)
{
    nvl_auto(nvl_missing_clear) struct nvl_missing missing = {0};
    unsigned granted = granted_capabilities(facts);

    if (!has_loaded_version(facts) || granted == 0)
        return;
    if (nvl_bundle_lacks(facts->root, &facts->userspace, facts->host.driver.version, &missing, NULL) < 0)
        return;
    for (unsigned bit = 1; bit <= NVL_CAP_ALL; bit <<= 1)
        if ((granted & bit) != 0)
            say_missing(check, facts, &missing, bit, findings);
}

/* Root's containers make it at their next start; it is ready in time if something has made it before. */
static void check_bundle_absent(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                struct nvl_findings *findings)
{
    nvl_autofree char *granted = nvl_granted_names(facts);
    const char *loaded = facts->host.driver.version;

    if (nvl_loaded_bundle(facts) != NULL || !has_loaded_version(facts))
        return;
    nvl_autofree char *title = nvl_xasprintf("there is no bundle of %s, the loaded driver", loaded);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_WARNING, title);
    nvl_finding_about(f, NVL_SUBJECT_LIBRARY, NULL);
    nvl_finding_evidence(f, "/var/lib/nvlxc/driver/%s does not exist\ncontainers with a grant: %s", loaded,
                         granted);
    nvl_finding_cause(f, "the next start of a container must copy it first, which takes a while; a user's "
                         "own container cannot do so, and starts without a driver");
    nvl_finding_fix(f, "nvlxc driver sync");
}

static void say_damaged(const struct nvl_check *check, const struct nvl_bundle *bundle, bool is_installed,
                        const struct nvl_strv *faults, const struct nvl_strv *unseen,
                        struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    nvl_autofree char *title = nvl_xasprintf("the bundle of %s is damaged", bundle->version);
    struct nvl_finding *f =
        nvl_host_finding(findings, check, bundle->loaded ? NVL_SEVERITY_ERROR : NVL_SEVERITY_WARNING, title);

    nvl_finding_about(f, NVL_SUBJECT_BUNDLE, bundle->version);
    if (bundle->loaded) /* containers use no other bundle */
        nvl_finding_explains(f, NVL_SUBJECT_LIBRARY, NULL);
    for (size_t i = 0; i < faults->count && i < MANY_FAULTS; i++)
        nvl_strv_push(&evidence, faults->items[i]);
    if (faults->count > MANY_FAULTS)
        nvl_strv_pushf(&evidence, "… and %zu more", faults->count - MANY_FAULTS);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(f, "a full disk, a file system check, or something that wrote into the folder damaged "
                         "it: containers get what is there, and their programs fail to load it");
    for (size_t i = 0; i < unseen->count; i++)
        nvl_strv_pushf(&fix, "rm %s", unseen->items[i]);
    nvl_strv_push(&fix, is_installed ? "nvlxc driver sync" : "nvlxc driver prune");
    nvl_finding_fix_lines(f, &fix);
}

static void check_bundle_damaged(const struct nvl_check *check, const struct nvl_host_facts *facts,
                                 struct nvl_findings *findings)
{
    for (size_t i = 0; i < facts->bundles.count; i++) {
        const struct nvl_bundle *bundle = &facts->bundles.items[i];
        nvl_auto(nvl_strv_clear) struct nvl_strv faults = {0}, unseen = {0};
        nvl_bundle_verify(facts->root, bundle, facts->deep, &faults, &unseen);
        if (faults.count > 0)
            say_damaged(check, bundle, nvl_strv_contains(&facts->userspace.versions, bundle->version),
                        &faults, &unseen, findings);
    }
}

const struct nvl_check nvl_library_checks[] = {
    {"libraries-absent", "Are the driver's libraries installed?", 90, NVL_NEEDS_VERSION, "driver-vgpu",
     NVL_OF_HOST(check_libraries_absent)},
    {"libraries-mismatch", "Do libraries and module have the same version?", 100, NVL_NEEDS_VERSION, NULL,
     NVL_OF_HOST(check_libraries_mismatch)},
    {"upgrade-pending", "Is no upgrade waiting for a reboot?", 110, NVL_NEEDS_VERSION, NULL,
     NVL_OF_HOST(check_upgrade_pending)},
    {"libraries-incomplete", "Are the libraries installed that containers are granted?", 120,
     NVL_NEEDS_VERSION | NVL_OF_GUESTS, "driver-vgpu", NVL_OF_HOST(check_libraries_incomplete)},
    {"bundle-absent", "Is there a bundle of the loaded version?", 130,
     NVL_NEEDS_VERSION | NVL_NEEDS_GRANTS | NVL_OF_GUESTS, NULL, NVL_OF_HOST(check_bundle_absent)},
    {"bundle-damaged", "Do the bundles match their manifests?", 140, NVL_SEES_DEEP,
     "libraries-absent libraries-mismatch", NVL_OF_HOST(check_bundle_damaged)},
    {0},
};
