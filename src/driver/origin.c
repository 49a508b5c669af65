/* Where the driver came from: the search for its kernel module, as a file, as dkms's build, as a package. */
#include "driver/origin.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define MODULES_FOLDER "/lib/modules"
#define DKMS_FOLDER    "/var/lib/dkms"
#define LOG_MAX        (64u << 20)
#define KEY_MAX        (64u << 10)
#define MOK_LIST       "/sys/firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23"
#define MOK_LIST_MAX   (1u << 20)

/* "nvidia.ko", "nvidia-current.ko.xz", "nvidia-tesla-535.ko.zst": not the parts that build on it, and not the
 * kernel's own modules of a like name. */
static bool is_driver_file(const char *name)
{
    static const char *const stems[] = {"", "-current", "-current-open", "-open"};
    const char *end = strstr(name, ".ko");

    if (!nvl_has_prefix(name, "nvidia") || end == NULL || (end[3] != '\0' && end[3] != '.'))
        return false;
    nvl_autofree char *stem = nvl_xstrndup(name + 6, (size_t)(end - name) - 6);
    for (size_t i = 0; i < NVL_LENGTH(stems); i++)
        if (strcmp(stem, stems[i]) == 0)
            return true;
    return nvl_has_prefix(stem, "-tesla-") && strchr(stem + 7, '-') == NULL;
}

/* The path of the driver's module for a kernel; NULL for none; the caller frees. */
static char *find_module(const struct nvl_root *root, const char *kernel)
{
    /* dkms; the .run installer; Arch's and Fedora's */
    static const char *const folders[] = {"updates/dkms", "updates",      "kernel/drivers/video",
                                          "extra",        "extra/nvidia", "extramodules"};

    for (size_t i = 0; i < NVL_LENGTH(folders); i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        nvl_autofree char *folder = nvl_xasprintf(MODULES_FOLDER "/%s/%s", kernel, folders[i]);
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
        nvl_autofree char *module = find_module(root, names.items[i]);
        if (module != NULL && (running == NULL || strcmp(names.items[i], running) != 0))
            nvl_strv_push(kernels, names.items[i]);
    }
}

static void read_package(const struct nvl_root *root, struct nvl_installed_driver *d)
{
    static const char *const packages[] = {
        "nvidia-kernel-dkms",           "nvidia-open-kernel-dkms",         "nvidia-tesla-535-kernel-dkms",
        "nvidia-tesla-470-kernel-dkms", "nvidia-legacy-390xx-kernel-dkms",
    };
    size_t which;

    d->package_version = nvl_package_version_of(root, packages, NVL_LENGTH(packages), &which);
    if (d->package_version != NULL)
        d->package = nvl_xstrdup(packages[which]);
}

/* dkms's entry: nvidia, nvidia-current, nvidia-current-open, nvidia-open, nvidia-tesla-…; of several versions
 * the newest. */
void nvl_installed_dkms_read(const struct nvl_root *root, struct nvl_installed_driver *d)
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
static char *find_error(const char *text, size_t len)
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

/* dkms keeps the log in the build folder where a build failed, and its first line says for which kernel. */
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
    d->build_error = find_error(text, len);
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
    /* an EFI signature list holds the certificates as they are */
    bool is_there = r == 0 && memmem(list, list_len, key, key_len) != NULL;
    d->enrolled = is_there ? NVL_ENROLLED_YES : NVL_ENROLLED_NO;
}

static void name_version(const struct nvl_userspace *us, struct nvl_installed_driver *d)
{
    const char *version = d->dkms_version != NULL      ? d->dkms_version
                          : d->package_version != NULL ? d->package_version
                          : us->versions.count > 0     ? us->versions.items[0]
                                                       : "";
    size_t len = strspn(version, "0123456789."); /* a package's is followed by -1 and the like */

    if (nvl_is_version(version, len))
        nvl_copy(d->version, sizeof d->version, version, len);
    if (d->dkms_name == NULL && d->package == NULL)
        return;
    bool open = strstr(d->dkms_name != NULL ? d->dkms_name : d->package, "open") != NULL;
    d->flavour = open ? NVL_FLAVOUR_OPEN : NVL_FLAVOUR_PROPRIETARY;
}

void nvl_installed_driver_read(const struct nvl_root *root, const struct nvl_system *system,
                               const struct nvl_userspace *us, struct nvl_installed_driver *d)
{
    *d = (struct nvl_installed_driver){0};
    read_package(root, d);
    nvl_installed_dkms_read(root, d);
    read_signing_key(root, d);
    name_version(us, d);
    find_other_kernels(root, system->kernel, &d->kernels);
    if (system->kernel == NULL)
        return;
    nvl_autofree char *build = nvl_xasprintf(MODULES_FOLDER "/%s/build", system->kernel);
    d->has_headers = nvl_root_exists(root, build);
    d->module = find_module(root, system->kernel);
    if (d->module == NULL && d->dkms_name != NULL)
        read_log(root, system->kernel, d);
}

void nvl_installed_driver_clear(struct nvl_installed_driver *d)
{
    free(d->module);
    nvl_strv_clear(&d->kernels);
    free(d->package);
    free(d->package_version);
    free(d->dkms_name);
    free(d->dkms_version);
    free(d->build_log);
    free(d->build_error);
    free(d->signing_key);
    *d = (struct nvl_installed_driver){0};
}
