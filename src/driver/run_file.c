/* The installer's lines: what it needs, what is in its way, and its options. */
#include "driver/run_file.h"

#include <string.h>

#include "base/machine.h"
#include "driver/distribution.h"
#include "driver/origin.h"
#include "driver/package_names.h"

#define DOWNLOADS "https://download.nvidia.com/XFree86/Linux-"

char *nvl_run_file(const char *version)
{
    return nvl_xasprintf("NVIDIA-Linux-%s-%s.run", nvl_machine()->kernel, version);
}

static void add_download(const char *version, const char *file, struct nvl_strv *fix)
{
    nvl_strv_pushf(fix, "wget " DOWNLOADS "%s/%s/%s", nvl_machine()->kernel, version, file);
}

const char *nvl_need_kernel(const struct nvl_driver_need *need)
{
    return need->system->kernel != NULL ? need->system->kernel : "$(uname -r)";
}

void nvl_advise_headers(const struct nvl_driver_need *need, struct nvl_strv *fix)
{
    nvl_autofree char *packages = nvl_header_names(need->system);

    if (packages[0] != '\0')
        nvl_strv_pushf(fix, "apt install %s", packages);
    else if (!nvl_distribution_add(need->system, NVL_ACTION_HEADERS, fix))
        nvl_strv_pushf(fix, "install the headers of kernel %s, and of later ones when they come",
                       nvl_need_kernel(need));
}

/* What is in the installer's way: packages of the driver. */
void nvl_add_purge(const struct nvl_driver_need *need, struct nvl_strv *fix)
{
    const struct nvl_installed_driver *d = need->installed;
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    if (d->origin != NVL_ORIGIN_DEBIAN)
        return;
    nvl_purge_names(d, &names);
    nvl_autofree char *list = nvl_strv_join(&names, " ");
    nvl_strv_pushf(fix, "apt purge %s   # Debian's driver and everything that builds on it", list);
}

static void add_build_tools(const struct nvl_driver_need *need, struct nvl_strv *fix)
{
    nvl_autofree char *headers = nvl_header_names(need->system);
    const struct nvl_installed_driver *d = need->installed;

    if ((nvl_family_of(need->system) == NVL_FAMILY_DEBIAN) && headers[0] != '\0' &&
        (!d->has_headers || !d->has_dkms))
        nvl_strv_pushf(fix, "apt install %s%s", d->has_dkms ? "" : "dkms ", headers);
    else if (!d->has_headers)
        nvl_advise_headers(need, fix);
}

const char *nvl_run_flavour_option(const char *version, enum nvl_flavour flavour)
{
    bool has_names = version == NULL || nvl_version_compare(version, "560") >= 0;

    if (flavour == NVL_FLAVOUR_OPEN)
        return has_names ? " --kernel-module-type=open" : " -m=kernel-open";
    return flavour == NVL_FLAVOUR_PROPRIETARY && has_names ? " --kernel-module-type=proprietary" : "";
}

void nvl_add_run(const char *version, const char *options, const char *flavour, struct nvl_strv *fix)
{
    nvl_autofree char *file = nvl_run_file(version);

    add_download(version, file, fix);
    nvl_strv_pushf(fix, "sh %s%s%s", file, options, flavour);
}

/* Fetches the installer and has host setup run it, with all that it needs, where setup knows the system. */
static void add_installation(const struct nvl_driver_need *need, const char *version,
                             enum nvl_flavour flavour, struct nvl_strv *fix)
{
    nvl_autofree char *file = nvl_run_file(version);

    if (nvl_can_set_up(need->system)) {
        add_download(version, file, fix);
        nvl_strv_pushf(fix, "nvlxc host setup --run %s", file);
        return;
    }
    add_build_tools(need, fix);
    nvl_add_run(version, " --dkms", nvl_run_flavour_option(version, flavour), fix);
}

void nvl_add_by_hand(const struct nvl_driver_need *need, const struct nvl_by_hand *h, struct nvl_strv *fix)
{
    enum nvl_flavour known = need->loaded->loaded ? need->loaded->flavour : need->installed->flavour;
    enum nvl_flavour flavour = h->flavour != NVL_FLAVOUR_UNKNOWN ? h->flavour : known;

    if (h->version == NULL) {
        nvl_autofree char *any = nvl_run_file("VERSION");
        if (nvl_can_set_up(need->system))
            nvl_strv_pushf(fix, "download NVIDIA's installer of %s, then: nvlxc host setup --run FILE",
                           h->text);
        else
            nvl_strv_pushf(fix, "use NVIDIA's installer of %s: sh %s --dkms%s", h->text, any,
                           nvl_run_flavour_option(NULL, flavour));
        return;
    }
    nvl_strv_pushf(fix, "# NVIDIA's driver %s", h->text);
    nvl_add_purge(need, fix);
    add_installation(need, h->version, flavour, fix);
}

void nvl_add_run_again(const struct nvl_driver_need *need, enum nvl_flavour flavour, bool is_module_only,
                       struct nvl_strv *fix)
{
    const char *version =
        need->installed->version[0] != '\0' ? need->installed->version : need->loaded->version;
    const struct nvl_kernel_range *row = nvl_support_driver(need->support, version, NULL, flavour);
    enum nvl_kernel_fit fit =
        need->system->kernel != NULL ? nvl_kernel_fits(row, need->system->kernel) : NVL_KERNEL_UNKNOWN;
    nvl_auto(nvl_by_hand_clear) struct nvl_by_hand newer = {0};

    bool works = need->loaded->loaded && strcmp(need->loaded->version, version) == 0;
    if ((!works && (fit == NVL_KERNEL_TOO_NEW || fit == NVL_KERNEL_FAILS)) || version[0] == '\0') {
        nvl_choose_by_hand(need, nvl_need_kernel(need), version[0] != '\0' ? version : NULL, &newer);
        newer.flavour = flavour != NVL_FLAVOUR_UNKNOWN ? flavour : newer.flavour;
        nvl_add_by_hand(need, &newer, fix);
        return;
    }
    if (!is_module_only) {
        add_installation(need, version, flavour, fix);
        return;
    }
    add_build_tools(need, fix);
    nvl_add_run(version, " --kernel-modules-only --dkms", nvl_run_flavour_option(version, flavour), fix);
}
