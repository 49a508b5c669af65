/* The names that Debian, Proxmox VE and NVIDIA's archive have for the same parts of the driver. */
#include "driver/package_names.h"

#include <string.h>

#include "driver/origin.h"

char *nvl_module_name(const struct nvl_installed_driver *installed)
{
    const char *file = installed->module != NULL ? strrchr(installed->module, '/') : NULL;

    if (file != NULL)
        return nvl_xstrndup(file + 1, strcspn(file + 1, "."));
    if (installed->dkms_name != NULL)
        return nvl_xstrdup(installed->dkms_name);
    if (installed->origin != NVL_ORIGIN_DEBIAN)
        return nvl_xstrdup("nvidia");
    return installed->series != NULL ? nvl_xasprintf("nvidia-%s", installed->series)
                                     : nvl_xstrdup("nvidia-current");
}

/* Debian puts a series' name into the middle of its packages' names. Source: the packages of
 * nvidia-graphics-drivers-tesla-535 and -legacy-390xx. */
char *nvl_series_package(const char *package, const char *series)
{
    static const struct {
        const char *main, *before, *behind;
    } odd[] = {
        {"libcuda1", "libnvidia-", "-cuda1"},
        {"libcudadebugger1", "libnvidia-", "-cudadebugger1"},
        {"libnvcuvid1", "libnvidia-", "-nvcuvid1"},
        {"libnvoptix1", "libnvidia-", "-nvoptix1"},
        {"firmware-nvidia-gsp", "firmware-nvidia-", "-gsp"},
        {"xserver-xorg-video-nvidia", "xserver-xorg-video-nvidia-", ""},
    };
    static const char *const shared[] = {"nvidia-modprobe", "nvidia-persistenced", "nvidia-cuda-mps"};
    size_t len = strlen(package);

    if (series == NULL || nvl_has_suffix(package, "-common"))
        return nvl_xstrdup(package);
    for (size_t i = 0; i < NVL_LENGTH(shared); i++)
        if (strcmp(package, shared[i]) == 0)
            return nvl_xstrdup(package);
    for (size_t i = 0; i < NVL_LENGTH(odd); i++)
        if (strcmp(package, odd[i].main) == 0)
            return nvl_xasprintf("%s%s%s", odd[i].before, series, odd[i].behind);
    if (nvl_has_prefix(package, "nvidia-"))
        return nvl_xasprintf("nvidia-%s-%s", series, package + strlen("nvidia-"));
    if (nvl_has_prefix(package, "libnvidia-"))
        return nvl_xasprintf("libnvidia-%s-%s", series, package + strlen("libnvidia-"));
    if (len > 8 && strncmp(package + len - 8, "-nvidia", 7) == 0) /* libglx-nvidia0 */
        return nvl_xasprintf("%.*s-%s%s%c", (int)(len - 1), package, series,
                             nvl_has_suffix(series, "x") ? "" : "-", package[len - 1]);
    return nvl_xstrdup(package);
}

/* NVIDIA's archive has libraries by Debian's names, and puts the programs and small files of many packages
 * into two. Source: what apt unpacks from it for Debian 13, 610.43.02 (psygreg/linuxtoys#908, #1038). */
static const char *archive_package(const char *package)
{
    static const struct {
        const char *prefix, *package;
    } others[] = {
        {"nvidia-smi", "nvidia-driver-cuda"},     {"nvidia-cuda-mps", "nvidia-driver-cuda"},
        {"nvidia-opencl-", "nvidia-driver-cuda"}, {"nvidia-driver-bin", "nvidia-driver-cuda"},
        {"nvidia-vulkan-", "nvidia-driver-libs"}, {"nvidia-egl-", "nvidia-driver-libs"},
    };

    for (size_t i = 0; i < NVL_LENGTH(others); i++)
        if (nvl_has_prefix(package, others[i].prefix))
            return others[i].package;
    return package;
}

const char *nvl_archive_set(const char *package)
{
    static const char *const draws[] = {"libglx-",           "libegl-",
                                        "libgles-",          "libnvidia-glcore",
                                        "libnvidia-eglcore", "libnvidia-glvkspirv",
                                        "libnvidia-rtcore",  "nvidia-vulkan-",
                                        "nvidia-egl-",       "libnvidia-allocator",
                                        "libnvoptix",        "libnvidia-ngx"};

    for (size_t i = 0; i < NVL_LENGTH(draws); i++)
        if (nvl_has_prefix(package, draws[i]))
            return "nvidia-driver-libs";
    bool is_same = strcmp(package, "nvidia-vdpau-driver") == 0 || nvl_has_prefix(package, "xserver-");

    return is_same ? package : "nvidia-driver-cuda";
}

char *nvl_package_here(const struct nvl_installed_driver *installed, const char *package)
{
    return installed->origin == NVL_ORIGIN_ARCHIVE ? nvl_xstrdup(archive_package(package))
                                                   : nvl_series_package(package, installed->series);
}

const char *nvl_archive_module(const struct nvl_installed_driver *installed, enum nvl_flavour flavour)
{
    if (flavour == NVL_FLAVOUR_UNKNOWN && installed->package != NULL)
        return installed->package;
    return flavour == NVL_FLAVOUR_PROPRIETARY ? "nvidia-kernel-dkms" : "nvidia-kernel-open-dkms";
}

const char *nvl_skip_epoch(const char *package_version)
{
    const char *colon = strchr(package_version, ':');

    return colon != NULL ? colon + 1 : package_version;
}

void nvl_purge_names(const struct nvl_installed_driver *installed, struct nvl_strv *names)
{
    static const char *const of_archive[] = {"nvidia-driver-cuda", "libcuda1", "libnvidia-ml1"};
    nvl_autofree char *base = nvl_series_package("nvidia-alternative", installed->series);

    if (installed->origin != NVL_ORIGIN_ARCHIVE)
        nvl_strv_push(names, base);
    if (installed->package != NULL)
        nvl_strv_push(names, installed->package);
    for (size_t i = 0; installed->origin == NVL_ORIGIN_ARCHIVE && i < NVL_LENGTH(of_archive); i++)
        nvl_strv_push(names, of_archive[i]);
}

const char *const nvl_headless_packages[] = {"nvidia-smi",     "libcuda1",        "libnvidia-encode1",
                                             "libnvidia-cfg1", "nvidia-modprobe", "nvidia-persistenced"};
const size_t nvl_headless_length = NVL_LENGTH(nvl_headless_packages);

char *nvl_debian_module(enum nvl_flavour flavour, const char *series)
{
    return nvl_series_package(flavour == NVL_FLAVOUR_OPEN && series == NULL ? "nvidia-open-kernel-dkms"
                                                                            : "nvidia-kernel-dkms",
                              series);
}

char *nvl_header_names(const struct nvl_system *system)
{
    nvl_autofree char *package = nvl_headers_package(system);
    nvl_autofree char *meta = nvl_headers_meta_package(system);

    if (package == NULL)
        return nvl_xstrdup("");
    return nvl_xasprintf("%s%s%s", meta != NULL ? meta : "", meta != NULL ? " " : "", package);
}
