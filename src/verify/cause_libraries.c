/* Why a library of the driver is not loaded, or is the wrong one: from the loader's message, and from what is
 * mounted in the container. */
#include "verify/cause_libraries.h"

#include "inject/home.h"
#include "doctor/container/shared.h"
#include "doctor/facts.h"
#include "verify/session.h"
#include "verify/verify.h"

void nvl_cause_of_version(const struct nvl_verify *v, const char *path, const char *version,
                          struct nvl_step *step)
{
    const char *loaded = v->facts->host->host.driver.version;
    bool is_bundle = nvl_path_below_home(path) != NULL;

    nvl_step_cause(step, "the kernel module is %s, this library is %s: they must be the same%s", loaded,
                   version, is_bundle ? "; the module changed after the container was started" : "");
    if (is_bundle)
        nvl_step_fix(step, "%s", v->request->restart);
    else if (v->facts
                 ->has_grant) /* its packages by name, not libnvidia-*: libnvidia-container1 is Docker's */
        nvl_step_fix(
            step,
            "in the container: remove the driver that is installed there (the package that dpkg -S %s "
            "names and those of its version; without one, the file), then ldconfig",
            nvl_is_plain(path) ? path : "FILE");
    else {
        nvl_autofree char *again = nvl_attach_again(v->facts);
        nvl_step_fix(step, "%s\n%s", again, v->request->restart);
    }
}

static const struct nvl_fix sync_packages = {"nvlxc driver sync   # says what brings the missing files",
                                             NVL_FIX_THEN_RESTART},
                            other_driver = {"nvlxc doctor", NVL_FIX_ALL};

/* The loader's message about a file that it does not find: "NAME: cannot open shared object file: …". */
#define NOT_FOUND ": cannot open shared object file"

/* "libx11-6" for "libX11.so.6", by Debian's policy (8.1); the caller frees. NULL for other names. */
static char *debian_package(const char *soname)
{
    const char *so = strstr(soname, ".so.");

    if (so == NULL || so == soname || !nvl_is_plain(soname) || strspn(so + 4, "0123456789") != strlen(so + 4))
        return NULL;
    char *package = nvl_xasprintf("%.*s%s%s", (int)(so - soname), soname,
                                  so[-1] >= '0' && so[-1] <= '9' ? "-" : "", so + 4);
    for (char *p = package; *p != '\0'; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
    return package;
}

static void cause_needed(const struct nvl_verify *v, const char *soname, const char *missing,
                         struct nvl_step *step)
{
    nvl_autofree char *package = debian_package(missing);

    nvl_step_cause(step, "%s needs %s, which the container's loader does not find", soname, missing);
    if (nvl_has_prefix(missing, "libnv") || nvl_has_prefix(missing, "libcuda."))
        nvl_step_fix_from_table(v, step, &sync_packages);
    else if (package != NULL)
        nvl_step_fix(step, "in the container: apt install %s, or the package that contains %s there", package,
                     missing);
    else
        nvl_step_fix(step, "in the container: install the package that contains that library");
}

/* The library itself is not found. */
static void cause_absent(const struct nvl_verify *v, const char *soname, struct nvl_step *step)
{
    const struct nvl_root *rootfs = &v->facts->rootfs;
    const char *home = nvl_home(rootfs);
    int errors[NVL_HOMES];
    nvl_autofree char *in_bundle = nvl_xasprintf("%s/lib64/%s", home, soname),
                      *libcuda = nvl_xasprintf("%s/lib64/libcuda.so.1", home),
                      *libnvidia_ml = nvl_xasprintf("%s/lib64/libnvidia-ml.so.1", home);

    if (nvl_root_exists(rootfs, in_bundle)) {
        nvl_step_cause(step,
                       "the driver is mounted at %s, but the container's linker cache does not name it, or "
                       "it has none",
                       home);
        nvl_step_fix(
            step,
            "in the container: ldconfig; if it has no ldconfig, set LD_LIBRARY_PATH=%s/lib64 for its "
            "programs (lxc.environment)",
            home);
    } else if (nvl_root_exists(rootfs, libcuda) || nvl_root_exists(rootfs, libnvidia_ml)) {
        bool is_vgpu = v->facts->host->installed.origin == NVL_ORIGIN_VGPU;
        nvl_step_cause(step, "the driver that is mounted at %s lacks %s: %s", home, soname,
                       is_vgpu ? "it is NVIDIA's host driver for virtual GPUs, which has no CUDA"
                               : "it is not installed on the host");
        nvl_step_fix_from_table(v, step, is_vgpu ? &other_driver : &sync_packages);
    } else if (nvl_home_choose(rootfs, errors) == NULL) {
        nvl_step_cause(step, "the driver has no place in the container: %s %s, %s %s", nvl_homes[0],
                       nvl_home_obstacle(errors[0]), nvl_homes[1], nvl_home_obstacle(errors[1]));
        nvl_step_fix(step, "nvlxc doctor %s", v->request->name);
    } else {
        nvl_step_cause(
            step,
            "no driver is mounted at %s: there was no bundle for %s when the container was started, or its "
            "start hook did not run",
            home, v->facts->host->host.driver.version);
        nvl_step_fix(step, "nvlxc driver sync\n%s", v->request->restart);
    }
}

void nvl_cause_of_library(const struct nvl_verify *v, const char *soname, const char *complaint,
                          struct nvl_step *step)
{
    const char *end = complaint != NULL ? strstr(complaint, NOT_FOUND) : NULL;
    nvl_autofree char *missing = end != NULL ? nvl_xstrndup(complaint, (size_t)(end - complaint)) : NULL;

    if (complaint == NULL || (missing != NULL && strcmp(missing, soname) == 0))
        cause_absent(v, soname, step);
    else if (missing != NULL)
        cause_needed(v, soname, missing, step);
    else
        nvl_step_cause(step, "the container's loader rejects it: %s", complaint);
}
