/* Fixes for the installed driver, and for what it lacks. */
#include "driver/advice.h"

#include "base/machine.h"
#include "driver/distribution.h"
#include "driver/origin.h"
#include "driver/package_names.h"
#include "driver/replace.h"

void nvl_advise_build(const struct nvl_driver_need *need, struct nvl_strv *fix)
{
    const struct nvl_installed_driver *d = need->installed;
    nvl_autofree char *name = nvl_module_name(d);

    if (d->origin == NVL_ORIGIN_RUN && d->dkms_name == NULL) {
        nvl_add_run_again(need, d->flavour, false, fix);
        return;
    }
    if (d->dkms_name != NULL || d->package != NULL)
        nvl_strv_pushf(fix, "dkms autoinstall -k %s", nvl_need_kernel(need));
    else if (!nvl_distribution_add(need->system, NVL_ACTION_REBUILD, fix))
        nvl_strv_pushf(fix, "build the module for kernel %s, by this distribution's own way",
                       nvl_need_kernel(need));
    nvl_strv_pushf(fix, "modprobe %s", name);
}

void nvl_advise_module(const struct nvl_driver_need *need, struct nvl_strv *fix)
{
    const struct nvl_installed_driver *d = need->installed;
    nvl_autofree char *name = nvl_module_name(d);
    nvl_autofree char *package = nvl_series_package("nvidia-kernel-dkms", d->series);

    switch (d->origin) {
    case NVL_ORIGIN_RUN:
        nvl_add_run_again(need, d->flavour, false, fix);
        return;
    case NVL_ORIGIN_FOLDER:
        nvl_add_run_again(need, d->flavour, true, fix);
        return;
    case NVL_ORIGIN_ARCHIVE:
        nvl_advise_headers(need, fix);
        nvl_strv_pushf(fix, "apt install %s", nvl_archive_module(need->installed, NVL_FLAVOUR_UNKNOWN));
        break;
    case NVL_ORIGIN_DEBIAN:
        if (d->series == NULL) {
            nvl_advise_install(need, fix);
            return;
        }
        nvl_advise_headers(need, fix);
        nvl_strv_pushf(fix, "apt install %s", package);
        break;
    default:
        nvl_advise_install(need, fix);
        return;
    }
    nvl_strv_pushf(fix, "modprobe %s", name);
}

void nvl_advise_signing(const struct nvl_driver_need *need, struct nvl_strv *fix)
{
    static const char key[] = "/var/lib/dkms/mok.pub";
    const struct nvl_installed_driver *d = need->installed;
    const char *kernel = nvl_need_kernel(need);

    if (d->signing_key == NULL && d->dkms_name == NULL && d->package == NULL) {
        if (d->origin != NVL_ORIGIN_RUN) {
            nvl_strv_push(
                fix, "sign the module with a key that the firmware knows, by this distribution's own way");
            return;
        }
        nvl_add_run_again(need, d->flavour, false, fix);
    } else if (d->signing_key == NULL) {
        nvl_autofree char *name = nvl_module_name(d);
        const char *entry = d->dkms_name != NULL ? d->dkms_name : name;
        if ((nvl_family_of(need->system) == NVL_FAMILY_DEBIAN))
            nvl_strv_push(fix, "apt install mokutil");
        nvl_strv_push(fix, "dkms generate_mok");
        nvl_strv_pushf(fix, "dkms build %s/%s -k %s --force && dkms install %s/%s -k %s --force", entry,
                       d->version, kernel, entry, d->version, kernel);
    }
    nvl_strv_pushf(fix, "mokutil --import %s", d->signing_key != NULL ? d->signing_key : key);
    nvl_strv_push(fix, "reboot   # choose \"Enroll MOK\" on the blue screen");
}

/* Takes the name over. */
static void add_once(struct nvl_strv *names, char *name)
{
    nvl_strv_push_once(names, name);
    free(name);
}

void nvl_advise_libraries(const struct nvl_driver_need *need, const char *version,
                          const struct nvl_strv *packages, struct nvl_strv *fix)
{
    static const char *const core[] = {"libcuda1", "nvidia-smi"};
    const struct nvl_installed_driver *d = need->installed;
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    for (size_t i = 0; i < packages->count; i++)
        add_once(&names, nvl_package_here(d, packages->items[i]));
    for (size_t i = 0; i < NVL_LENGTH(core) && packages->count == 0; i++)
        add_once(&names, nvl_package_here(d, core[i]));
    nvl_autofree char *list = nvl_strv_join(&names, " ");
    switch (d->origin) {
    case NVL_ORIGIN_DEBIAN:
    case NVL_ORIGIN_ARCHIVE:
        nvl_strv_pushf(fix, "apt install %s   # version %s", list, version);
        break;
    case NVL_ORIGIN_RUN:
        nvl_add_run(version, " --no-kernel-modules", "", fix);
        break;
    case NVL_ORIGIN_FOLDER:
        nvl_strv_pushf(fix, "put the libraries of version %s into %s", version, d->folder);
        break;
    case NVL_ORIGIN_VGPU:
        nvl_strv_push(fix, "replace the host driver for virtual GPUs with NVIDIA's ordinary driver, or with "
                           "a merged one that has both");
        break;
    default:
        if (!nvl_distribution_add(need->system, NVL_ACTION_LIBRARIES, fix))
            nvl_strv_pushf(fix, "install the driver's libraries of version %s", version);
        break;
    }
}

/* What brings the packages' files here, on one line; doctor has the rest. */
static char *name_packages(const struct nvl_system *system, const struct nvl_installed_driver *d,
                           const struct nvl_strv *packages)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0}, commands = {0};
    bool is_packaged = d->origin == NVL_ORIGIN_DEBIAN || d->origin == NVL_ORIGIN_ARCHIVE;

    for (size_t i = 0; i < packages->count; i++)
        add_once(&names, nvl_package_here(d, packages->items[i]));
    nvl_autofree char *list = nvl_strv_join(&names, " ");
    if (is_packaged && packages->count > 0)
        return nvl_xasprintf("apt install %s", list);
    if (d->origin == NVL_ORIGIN_RUN)
        return nvl_xstrdup("run NVIDIA's installer of this version again, with --no-kernel-modules");
    if (d->origin == NVL_ORIGIN_VGPU)
        return nvl_xstrdup("NVIDIA's host driver for virtual GPUs does not have that");
    if (d->origin == NVL_ORIGIN_DISTRIBUTION &&
        nvl_distribution_add(system, NVL_ACTION_LIBRARIES, &commands) && commands.count == 1)
        return nvl_xstrdup(commands.items[0]);
    return nvl_xstrdup("install the driver again, with all its parts");
}

void nvl_missing_lines(const struct nvl_root *root, const struct nvl_userspace *us,
                       const struct nvl_missing *missing, unsigned capabilities, struct nvl_strv *lines)
{
    nvl_auto(nvl_system_clear) struct nvl_system system = {0};
    nvl_auto(nvl_installed_driver_clear) struct nvl_installed_driver d = {0};
    struct nvl_driver_version loaded = {0};

    if (missing->count == 0 || nvl_system_read(root, &system, NULL) < 0)
        return;
    nvl_driver_version_read(root, &loaded, NULL);
    nvl_installed_driver_glance(root, &system, us, &loaded, &d);
    for (size_t i = 0; i < missing->count; i++) {
        nvl_autofree char *what_now = name_packages(&system, &d, &missing->items[i].packages);
        if ((missing->items[i].capability & capabilities) != 0)
            nvl_strv_pushf(lines, "%s: %s", missing->items[i].text, what_now);
    }
}

void nvl_advise_mismatch(const struct nvl_driver_need *need, const char *loaded, const char *installed,
                         struct nvl_strv *fix)
{
    const struct nvl_strv none = {0};

    if (need->installed->origin == NVL_ORIGIN_RUN)
        nvl_advise_libraries(need, loaded, &none, fix);
    else
        nvl_strv_pushf(fix, "install the libraries of %s, or the kernel module of %s, then:", loaded,
                       installed);
    nvl_strv_push(fix, "reboot");
}

void nvl_advise_firmware(const struct nvl_driver_need *need, struct nvl_strv *fix)
{
    const char *version = need->loaded->version;
    nvl_autofree char *package = nvl_series_package("firmware-nvidia-gsp", need->installed->series);

    switch (need->installed->origin) {
    case NVL_ORIGIN_DEBIAN:
    case NVL_ORIGIN_ARCHIVE:
        nvl_strv_pushf(fix, "apt install --reinstall %s", package);
        break;
    case NVL_ORIGIN_RUN: /* the module is in use: extract only the files from the archive */
        nvl_add_run(version, " --extract-only", "", fix);
        nvl_strv_pushf(fix,
                       "install -D -m 644 -t /lib/firmware/nvidia/%s NVIDIA-Linux-%s-%s/firmware/gsp_*.bin",
                       version, nvl_machine()->kernel, version);
        break;
    default:
        nvl_strv_pushf(fix, "install the GSP firmware of driver %s again, from the same source as the driver",
                       version);
        break;
    }
}

bool nvl_advise_tool(const struct nvl_driver_need *need, const char *program, struct nvl_strv *fix)
{
    enum nvl_origin origin = need->installed->origin;

    if (origin != NVL_ORIGIN_DEBIAN && origin != NVL_ORIGIN_ARCHIVE)
        return false;
    nvl_strv_pushf(fix, "apt install %s", program);
    return true;
}
