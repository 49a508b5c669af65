/* Where the driver came from: searches for its kernel module as a file, as dkms's build, and as a package,
 * and for the traces of NVIDIA's installer. */
#include "driver/origin.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/root.h"
#include "driver/distribution.h"
#include "driver/package_names.h"
#include "host/elf.h"
#include "host/module.h"
#include "host/userspace.h"

#define MODULES_FOLDER "/lib/modules"
#define NIXOS_MODULES  "/run/booted-system/kernel-modules/lib/modules"
#define DKMS_FOLDER    "/var/lib/dkms"
#define LOG_MAX        (64u << 20)
#define KEY_MAX        (64u << 10)
#define MOK_LIST       "/sys/firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23"
#define MOK_LIST_MAX   (1u << 20)

/* "tesla-535" of "nvidia-tesla-535", "legacy-390xx" of "nvidia-legacy-390xx": Debian's drivers besides the
 * main one, a form that nobody else uses. The caller frees; NULL for other names. */
static char *series_in(const char *name)
{
    static const char *const kinds[] = {"tesla-", "legacy-"};

    for (size_t i = 0; nvl_has_prefix(name, "nvidia-") && i < NVL_LENGTH(kinds); i++) {
        const char *kind = name + strlen("nvidia-"), *number = kind + strlen(kinds[i]);
        if (!nvl_has_prefix(kind, kinds[i]))
            continue;
        size_t len = strspn(number, "0123456789x");
        return len > 0 ? nvl_xstrndup(kind, (size_t)(number - kind) + len) : NULL;
    }
    return NULL;
}

/* "nvidia.ko", "nvidia-current.ko.xz", "nvidia-tesla-535.ko.zst": not the parts that build on it, and not the
 * kernel's own modules with similar names. */
static bool is_driver_file(const char *name)
{
    static const char *const stems[] = {"nvidia", "nvidia-current", "nvidia-current-open", "nvidia-open"};
    const char *end = strstr(name, ".ko");

    if (!nvl_has_prefix(name, "nvidia") || end == NULL || (end[3] != '\0' && end[3] != '.'))
        return false;
    nvl_autofree char *stem = nvl_xstrndup(name, (size_t)(end - name)), *series = series_in(stem);
    for (size_t i = 0; i < NVL_LENGTH(stems); i++)
        if (strcmp(stem, stems[i]) == 0)
            return true;
    return series != NULL && strlen(stem) == strlen("nvidia-") + strlen(series);
}

/* The path of the driver's module for a kernel; NULL for none; the caller frees. */
static char *find_built_module(const struct nvl_root *root, const char *kernel)
{
    /* dkms; openSUSE; the .run installer; Fedora's, of both flavors; Arch's; NixOS's */
    static const char *const folders[] = {"updates/dkms", "updates",      "kernel/drivers/video",
                                          "extra",        "extra/nvidia", "extra/nvidia-open",
                                          "extramodules", "misc"};

    for (size_t i = 0; i < 2 * NVL_LENGTH(folders); i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        nvl_autofree char *folder =
            nvl_xasprintf("%s/%s/%s", i % 2 == 0 ? MODULES_FOLDER : NIXOS_MODULES, kernel, folders[i / 2]);
        nvl_root_list(root, folder, &names);
        for (size_t n = 0; n < names.count; n++)
            if (is_driver_file(names.items[n]))
                return nvl_xasprintf("%s/%s", folder, names.items[n]);
    }
    return NULL;
}

static void find_other_kernels(const struct nvl_root *root, const char *running, struct nvl_strv *kernels)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_root_list(root, MODULES_FOLDER, &names);
    for (size_t i = names.count; i-- > 0;) {
        nvl_autofree char *module = find_built_module(root, names.items[i]);
        if (module != NULL && (running == NULL || strcmp(names.items[i], running) != 0))
            nvl_strv_push(kernels, names.items[i]);
    }
}

/* Packages of the module's source. Both Debian and NVIDIA have "nvidia-kernel-dkms": its maintainer tells
 * them apart. */
static const struct {
    const char *name;
    enum nvl_flavour flavour;
} packages[] = {
    {"nvidia-kernel-open-dkms", NVL_FLAVOUR_OPEN}, /* only NVIDIA's */
    {"nvidia-kernel-dkms", NVL_FLAVOUR_PROPRIETARY},
    {"nvidia-open-kernel-dkms", NVL_FLAVOUR_OPEN}, /* only Debian's */
    {"nvidia-tesla-550-kernel-dkms", NVL_FLAVOUR_PROPRIETARY},
    {"nvidia-tesla-535-kernel-dkms", NVL_FLAVOUR_PROPRIETARY},
    {"nvidia-tesla-470-kernel-dkms", NVL_FLAVOUR_PROPRIETARY},
    {"nvidia-tesla-460-kernel-dkms", NVL_FLAVOUR_PROPRIETARY},
    {"nvidia-tesla-450-kernel-dkms", NVL_FLAVOUR_PROPRIETARY},
    {"nvidia-tesla-418-kernel-dkms", NVL_FLAVOUR_PROPRIETARY},
    {"nvidia-legacy-390xx-kernel-dkms", NVL_FLAVOUR_PROPRIETARY},
    {"nvidia-legacy-340xx-kernel-dkms", NVL_FLAVOUR_PROPRIETARY},
};

static void take_package(struct nvl_installed_driver *d, size_t which)
{
    d->package = nvl_xstrdup(packages[which].name);
    d->flavour = packages[which].flavour;
    d->series = series_in(d->package);
}

static void read_package(const struct nvl_root *root, struct nvl_installed_driver *d)
{
    const char *names[NVL_LENGTH(packages)];
    size_t which;

    for (size_t i = 0; i < NVL_LENGTH(packages); i++)
        names[i] = packages[i].name;
    d->package_version = nvl_package_version_of(root, names, NVL_LENGTH(names), &which);
    if (d->package_version != NULL)
        take_package(d, which);
}

static void glance_at_packages(const struct nvl_root *root, struct nvl_installed_driver *d)
{
    for (size_t i = 0; i < NVL_LENGTH(packages) && d->package == NULL; i++)
        if (nvl_package_is_installed(root, packages[i].name))
            take_package(d, i);
}

/* dkms's entry: nvidia, nvidia-current, nvidia-current-open, nvidia-open, nvidia-tesla-…; the newest of
 * several versions. */
static void read_dkms(const struct nvl_root *root, struct nvl_installed_driver *d)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_root_list(root, DKMS_FOLDER, &names);
    for (size_t i = 0; i < names.count; i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv versions = {0};
        nvl_autofree char *folder = nvl_xasprintf(DKMS_FOLDER "/%s", names.items[i]);
        nvl_autofree char *as_file = nvl_xasprintf("%s.ko", names.items[i]);
        if (!is_driver_file(as_file))
            continue;
        nvl_root_list(root, folder, &versions);
        for (size_t v = 0; v < versions.count; v++) {
            const char *version = versions.items[v];
            if (!nvl_is_version(version, strlen(version)) ||
                (d->dkms_version != NULL && nvl_version_compare(version, d->dkms_version) <= 0))
                continue;
            free(d->dkms_name);
            free(d->dkms_version);
            d->dkms_name = nvl_xstrdup(names.items[i]);
            d->dkms_version = nvl_xstrdup(version);
        }
    }
}

/* The first line that the compiler calls an error; else the first of make. */
static char *find_build_error(const char *text, size_t len)
{
    static const char *const marks[] = {"error: ", "ERROR", "*** ", "Error "};

    for (size_t i = 0; i < NVL_LENGTH(marks); i++) {
        size_t pos = 0, line_len, number = 0;
        const char *line;
        while (nvl_next_line(text, len, &pos, &line, &line_len)) {
            number++;
            if (memmem(line, line_len, marks[i], strlen(marks[i])) != NULL)
                return nvl_xasprintf("make.log:%zu: %.*s", number, (int)(line_len < 400 ? line_len : 400),
                                     line);
        }
    }
    return NULL;
}

/* dkms keeps the log of a failed build in the build folder; its first line names the kernel. */
static void read_log(const struct nvl_root *root, const char *kernel, struct nvl_installed_driver *d)
{
    nvl_autofree char *path =
        nvl_xasprintf(DKMS_FOLDER "/%s/%s/build/make.log", d->dkms_name, d->dkms_version);
    nvl_autofree char *text = NULL;
    size_t len;

    if (nvl_root_read(root, path, LOG_MAX, &text, &len) < 0)
        return;
    size_t first = strcspn(text, "\n");
    bool names_a_kernel = memmem(text, first, " for kernel ", 12) != NULL;
    if (names_a_kernel && memmem(text, first, kernel, strlen(kernel)) == NULL)
        return;
    d->build_error = find_build_error(text, len);
    d->build_log = TAKE_PTR(path);
}

static void read_signing_key(const struct nvl_root *root, struct nvl_installed_driver *d)
{
    static const char *const keys[] = {DKMS_FOLDER "/mok.pub", "/var/lib/shim-signed/mok/MOK.der"};
    nvl_autofree char *key = NULL, *list = NULL;
    size_t key_len, list_len;

    for (size_t i = 0; i < NVL_LENGTH(keys) && key == NULL; i++)
        if (nvl_root_read(root, keys[i], KEY_MAX, &key, &key_len) == 0)
            d->signing_key = nvl_xstrdup(keys[i]);
    int r = nvl_root_read(root, MOK_LIST, MOK_LIST_MAX, &list, &list_len);
    if (key == NULL || key_len == 0 || (r < 0 && r != -ENOENT))
        return;
    /* an EFI signature list contains the certificates unchanged */
    bool is_there = r == 0 && memmem(list, list_len, key, key_len) != NULL;
    d->enrolled = is_there ? NVL_ENROLLED_YES : NVL_ENROLLED_NO;
}

static void name_installed(const struct nvl_userspace *us, struct nvl_installed_driver *d)
{
    const char *version = d->dkms_version != NULL      ? d->dkms_version
                          : d->package_version != NULL ? d->package_version
                          : us->versions.count > 0     ? us->versions.items[0]
                                                       : "";
    const char *upstream = nvl_skip_epoch(version); /* which NVIDIA's archive has had */
    size_t len = strspn(upstream, "0123456789.");   /* a package's version continues with -1 and the like */

    if (nvl_is_version(upstream, len))
        nvl_copy(d->version, sizeof d->version, upstream, len);
}

/* NVIDIA's licenses of the two, as in MODULE_LICENSE of its sources. */
static enum nvl_flavour flavour_of_module(const struct nvl_root *root, const char *path)
{
    nvl_autofd int fd = nvl_root_openat(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    nvl_autofree char *licence = fd >= 0 ? nvl_elf_licence(fd) : NULL;

    if (licence == NULL)
        return NVL_FLAVOUR_UNKNOWN;
    return strcmp(licence, "NVIDIA") == 0         ? NVL_FLAVOUR_PROPRIETARY
           : strcmp(licence, "Dual MIT/GPL") == 0 ? NVL_FLAVOUR_OPEN
                                                  : NVL_FLAVOUR_UNKNOWN;
}

/* "nvidia-current", "nvidia-current-open", "nvidia-tesla-535": Debian's names, which tell it. "nvidia" tells
 * nothing. */
static enum nvl_flavour flavour_of_name(const char *name)
{
    nvl_autofree char *series = series_in(name);

    if (series != NULL || strcmp(name, "nvidia-current") == 0)
        return NVL_FLAVOUR_PROPRIETARY;
    return strstr(name, "-open") != NULL ? NVL_FLAVOUR_OPEN : NVL_FLAVOUR_UNKNOWN;
}

/* The built module counts before what a package or a name says of its source. */
static void read_flavour(const struct nvl_root *root, struct nvl_installed_driver *d)
{
    enum nvl_flavour built = d->module != NULL ? flavour_of_module(root, d->module) : NVL_FLAVOUR_UNKNOWN;

    if (built != NVL_FLAVOUR_UNKNOWN)
        d->flavour = built;
    else if (d->flavour == NVL_FLAVOUR_UNKNOWN && d->dkms_name != NULL)
        d->flavour = flavour_of_name(d->dkms_name);
}

static bool has_library(const struct nvl_userspace *us, const char *prefix)
{
    for (size_t i = 0; i < us->n_dirs; i++)
        for (size_t n = 0; n < us->dirs[i].names.count; n++)
            if (nvl_has_prefix(us->dirs[i].names.items[n], prefix))
                return true;
    return false;
}

/* A merged driver also has the ordinary one's CUDA: it is no obstacle. */
static bool is_vgpu_host(const struct nvl_root *root, const struct nvl_userspace *us)
{
    struct nvl_modules modules;

    bool is_recalled = us->n_dirs == 0 && us->versions.count > 0; /* the contents are unknown */

    if (is_recalled || has_library(us, "libcuda.so."))
        return false;
    return has_library(us, "libnvidia-vgpu.so") ||
           (nvl_modules_read(root, &modules, NULL) == 0 && modules.nvidia_vgpu_vfio);
}

static bool is_of_nvidia(const struct nvl_root *root, const char *package)
{
    nvl_autofree char *maintainer = nvl_package_maintainer(root, package);

    if (maintainer != NULL)
        return strcasestr(maintainer, "@nvidia.com") != NULL || nvl_has_prefix(maintainer, "NVIDIA");
    /* a captured host's packages have no maintainer; only NVIDIA's archive has these */
    return nvl_package_is_installed(root, "nvidia-driver-cuda") ||
           nvl_package_is_installed(root, "nvidia-kernel-open-dkms");
}

static enum nvl_origin origin_of_package(const struct nvl_root *root, const struct nvl_installed_driver *d)
{
    if (strcmp(d->package, "nvidia-kernel-open-dkms") == 0)
        return NVL_ORIGIN_ARCHIVE;
    if (strcmp(d->package, "nvidia-kernel-dkms") != 0)
        return NVL_ORIGIN_DEBIAN;
    /* Debian's driver is named nvidia-current in dkms */
    if (d->dkms_name != NULL && strcmp(d->dkms_name, "nvidia") != 0)
        return NVL_ORIGIN_DEBIAN;
    return is_of_nvidia(root, d->package) ? NVL_ORIGIN_ARCHIVE : NVL_ORIGIN_DEBIAN;
}

static bool has_name(const struct nvl_strv *names, const char *prefix)
{
    for (size_t i = 0; i < names->count; i++)
        if (nvl_has_prefix(names->items[i], prefix))
            return true;
    return false;
}

/* The first 64-bit folder with one of the two libraries that make a driver: Debian has others flat. NULL for
 * none. */
static const char *find_library_folder(const struct nvl_userspace *us)
{
    for (size_t i = 0; i < us->n_dirs; i++)
        if (us->dirs[i].elf == NVL_ELF_64 &&
            (has_name(&us->dirs[i].names, "libcuda.so.") || has_name(&us->dirs[i].names, "libnvidia-ml.so.")))
            return us->dirs[i].path;
    return NULL;
}

/* From libraries only: Debian's are in a folder per driver, those of NVIDIA's archive and installer are
 * flat. */
static enum nvl_origin origin_of_libraries(const struct nvl_root *root, const struct nvl_userspace *us,
                                           struct nvl_installed_driver *d)
{
    static const char *const own[] = {"/usr/local/", "/opt/", "/run/nvidia/", "/home/"};
    const char *folder = find_library_folder(us);

    if (folder == NULL)
        return NVL_ORIGIN_NONE;
    const char *debian = strstr(folder, "-linux-gnu/nvidia/");
    if (debian != NULL) {
        nvl_autofree char *name = nvl_xasprintf("nvidia-%s", strrchr(folder, '/') + 1);
        d->series = series_in(name);
        return NVL_ORIGIN_DEBIAN;
    }
    bool is_own = nvl_userspace_is_from(us, NULL); /* then it comes first */
    for (size_t i = 0; i < NVL_LENGTH(own); i++)
        if (is_own || nvl_has_prefix(folder, own[i])) {
            d->folder = nvl_xstrdup(folder);
            return NVL_ORIGIN_FOLDER;
        }
    if (d->has_installer)
        return NVL_ORIGIN_RUN;
    return nvl_package_is_installed(root, "libnvidia-ml1") ? NVL_ORIGIN_ARCHIVE : NVL_ORIGIN_UNKNOWN;
}

/* The loaded driver is the installer's, though packages of another version remain: the loaded one counts. */
static bool is_loaded_from_installer(const struct nvl_driver_version *loaded,
                                     const struct nvl_installed_driver *d)
{
    return d->has_installer && d->package_version != NULL && loaded != NULL && loaded->version[0] != '\0' &&
           strstr(d->package_version, loaded->version) == NULL;
}

static void forget_package(struct nvl_installed_driver *d, const struct nvl_driver_version *loaded)
{
    free(TAKE_PTR(d->package));
    free(TAKE_PTR(d->package_version));
    free(TAKE_PTR(d->series));
    d->flavour = NVL_FLAVOUR_UNKNOWN;
    nvl_copy(d->version, sizeof d->version, loaded->version, strlen(loaded->version));
}

/* Without a package: by a name in dkms, the module's name, its libraries, the installer's files. */
static enum nvl_origin origin_of_files(const struct nvl_root *root, const struct nvl_userspace *us,
                                       struct nvl_installed_driver *d)
{
    if (d->dkms_name != NULL && strcmp(d->dkms_name, "nvidia") != 0) {
        d->series = series_in(d->dkms_name);
        return NVL_ORIGIN_DEBIAN;
    }
    if (d->dkms_name != NULL) /* of no package: its source, /usr/src/nvidia-VERSION, is the installer's */
        return NVL_ORIGIN_RUN;
    if (d->module != NULL && d->has_installer)
        return NVL_ORIGIN_RUN;
    if (d->module != NULL && strstr(d->module, "/nvidia-") != NULL)
        return NVL_ORIGIN_DEBIAN;
    enum nvl_origin origin = origin_of_libraries(root, us, d);
    return origin == NVL_ORIGIN_NONE && d->has_installer ? NVL_ORIGIN_RUN : origin;
}

static enum nvl_origin find_origin_on_debian(const struct nvl_root *root, const struct nvl_userspace *us,
                                             const struct nvl_driver_version *loaded,
                                             struct nvl_installed_driver *d)
{
    bool is_here = d->module != NULL || (loaded != NULL && loaded->loaded);

    if (d->package != NULL && is_loaded_from_installer(loaded, d)) {
        forget_package(d, loaded);
        return NVL_ORIGIN_RUN;
    }
    if (d->package != NULL)
        return origin_of_package(root, d);
    enum nvl_origin origin = origin_of_files(root, us, d);
    return origin == NVL_ORIGIN_NONE && is_here ? NVL_ORIGIN_UNKNOWN : origin;
}

const char *const nvl_installer_marks[] = {"/usr/bin/nvidia-uninstall", "/usr/bin/nvidia-installer",
                                           "/var/lib/nvidia/log", NULL};

static void find_origin(const struct nvl_root *root, const struct nvl_system *system,
                        const struct nvl_userspace *us, const struct nvl_driver_version *loaded,
                        struct nvl_installed_driver *d)
{
    enum nvl_family family = nvl_family_of(system);

    for (size_t i = 0; nvl_installer_marks[i] != NULL; i++)
        d->has_installer = d->has_installer || nvl_root_exists(root, nvl_installer_marks[i]);
    d->origin = find_origin_on_debian(root, us, loaded, d);
    if (is_vgpu_host(root, us))
        d->origin = NVL_ORIGIN_VGPU;
    else if (family != NVL_FAMILY_DEBIAN && system->id != NULL && d->origin != NVL_ORIGIN_NONE &&
             d->origin != NVL_ORIGIN_FOLDER)
        d->origin = d->has_installer ? NVL_ORIGIN_RUN : NVL_ORIGIN_DISTRIBUTION;
}

static void read_kernels(const struct nvl_root *root, struct nvl_installed_driver *d)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_root_list(root, MODULES_FOLDER, &names);
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *image = nvl_xasprintf("/boot/vmlinuz-%s", names.items[i]);
        nvl_autofree char *headers = nvl_xasprintf(MODULES_FOLDER "/%s/build/include", names.items[i]);
        if (!nvl_root_exists(root, image))
            continue;
        nvl_strv_push(&d->bootable, names.items[i]);
        if (nvl_root_exists(root, headers))
            nvl_strv_push(&d->buildable, names.items[i]);
    }
}

void nvl_installed_driver_read(const struct nvl_root *root, const struct nvl_system *system,
                               const struct nvl_userspace *us, const struct nvl_driver_version *loaded,
                               struct nvl_installed_driver *d)
{
    *d = (struct nvl_installed_driver){0};
    read_package(root, d);
    read_dkms(root, d);
    read_signing_key(root, d);
    name_installed(us, d);
    read_kernels(root, d);
    d->has_dkms = d->dkms_name != NULL || nvl_root_exists(root, "/usr/sbin/dkms") ||
                  nvl_root_exists(root, "/usr/bin/dkms");
    find_other_kernels(root, system->kernel, &d->kernels);
    if (system->kernel != NULL) {
        nvl_autofree char *build = nvl_xasprintf(MODULES_FOLDER "/%s/build", system->kernel);
        d->has_headers = nvl_root_exists(root, build);
        d->module = find_built_module(root, system->kernel);
        if (d->module == NULL && d->dkms_name != NULL)
            read_log(root, system->kernel, d);
    }
    find_origin(root, system, us, loaded, d);
    read_flavour(root, d);
}

void nvl_installed_driver_glance(const struct nvl_root *root, const struct nvl_system *system,
                                 const struct nvl_userspace *us, const struct nvl_driver_version *loaded,
                                 struct nvl_installed_driver *d)
{
    *d = (struct nvl_installed_driver){0};
    read_dkms(root, d);
    if (d->dkms_name == NULL || strcmp(d->dkms_name, "nvidia") == 0)
        glance_at_packages(root, d);
    find_origin(root, system, us, loaded, d);
}

void nvl_installed_driver_clear(struct nvl_installed_driver *d)
{
    free(d->series);
    free(d->folder);
    free(d->module);
    nvl_strv_clear(&d->kernels);
    nvl_strv_clear(&d->bootable);
    nvl_strv_clear(&d->buildable);
    free(d->package);
    free(d->package_version);
    free(d->dkms_name);
    free(d->dkms_version);
    free(d->build_log);
    free(d->build_error);
    free(d->signing_key);
    *d = (struct nvl_installed_driver){0};
}
