/* The names of packages: kernel headers by the kernel's name, the driver's by its flavor and by what the
 * capabilities need. */
#include "setup/packages.h"

#include "base/machine.h"
#include "bundle/catalog.h"
#include "driver/package_names.h"
#include "grant/grant.h"

/* The distribution's own kernels have such names; no package is known for others. */
static bool is_packaged(const char *kernel)
{
    nvl_autofree char *debian = nvl_xasprintf("-%s", nvl_machine()->debian);

    return nvl_has_suffix(kernel, debian) || nvl_has_suffix(kernel, "-pve");
}

char *nvl_image_package(const struct nvl_system *system, const char *kernel)
{
    struct nvl_system like = *system;
    like.kernel = (char *)kernel;
    nvl_autofree char *headers = nvl_headers_meta_package(&like);

    if (headers == NULL || !is_packaged(kernel))
        return NULL;
    if (nvl_has_prefix(headers, "linux-headers-"))
        return nvl_xasprintf("linux-image-%s", headers + strlen("linux-headers-"));
    size_t major = strcspn(kernel, "."), minor = strspn(kernel + major + 1, "0123456789");
    return nvl_xasprintf("proxmox-kernel-%.*s", (int)(major + 1 + minor), kernel);
}

static void add_signing_tools(struct nvl_strv *packages)
{
    nvl_strv_push(packages, "mokutil");
    nvl_strv_push(packages, "openssl"); /* without it dkms makes no key and signs nothing */
}

void nvl_tool_packages(const struct nvl_setup_facts *facts, const struct nvl_choice *choice,
                       struct nvl_strv *packages)
{
    static const char *const tools[] = {"dkms", "gcc", "make", "libc6-dev"};

    if (choice->kind != NVL_CHOICE_RUN)
        return;
    for (size_t i = 0; i < NVL_LENGTH(tools); i++)
        nvl_strv_push(packages, tools[i]);
    if (facts->system.secure_boot == NVL_SECURE_BOOT_ON)
        add_signing_tools(packages);
}

void nvl_header_packages(const struct nvl_setup_facts *facts, const struct nvl_choice *choice,
                         struct nvl_strv *packages)
{
    struct nvl_system like = facts->system;
    like.kernel = choice->kernel;
    nvl_autofree char *meta = nvl_headers_meta_package(&like), *exact = nvl_headers_package(&like);
    nvl_autofree char *image = nvl_image_package(&facts->system, choice->kernel);
    const char *version = image != NULL ? nvl_setup_installed(facts, image) : NULL;

    if (choice->kernel_package !=
        NULL) { /* `kernel` is a series; this brings the headers of each of its kernels */
        nvl_strv_pushf(packages, "proxmox-headers-%s", choice->kernel);
        return;
    }
    if (exact == NULL || image == NULL)
        return;
    nvl_strv_push(packages, exact);
    if (nvl_has_prefix(image, "proxmox-kernel-")) {
        /* a series other than the default has its own package for its next headers */
        if (version != NULL || !choice->fits_newest)
            nvl_strv_pushf(packages, "proxmox-headers-%s", image + strlen("proxmox-kernel-"));
        /* with the newest kernel's headers dkms would build for that kernel, too, and fail */
        if (choice->fits_newest)
            nvl_strv_push(packages, meta);
    } else if (version != NULL && strstr(version, "~bpo") != NULL) {
        nvl_strv_pushf(packages, "%s/%s-backports", meta, facts->system.codename);
    } else {
        nvl_strv_push(packages, meta);
    }
}

/* The package of `source` that has the files of Debian's `package`. */
static void push_package(const struct nvl_choice *choice, const char *package, struct nvl_strv *packages)
{
    nvl_autofree char *name = choice->kind == NVL_CHOICE_ARCHIVE
                                  ? nvl_xstrdup(nvl_archive_set(package))
                                  : nvl_series_package(package, choice->series);

    nvl_strv_push_once(packages, name);
}

/* Not the X server's driver: it would bring an X server to the host. */
static bool is_wanted(const struct nvl_catalog_file *entry, const struct nvl_choice *choice,
                      unsigned capabilities)
{
    return entry->package != NULL && (entry->capability & capabilities & ~NVL_CAP_DISPLAY) != 0 &&
           (choice->branch == NULL || nvl_catalog_expects(entry, choice->branch));
}

void nvl_driver_packages(const struct nvl_setup_facts *facts, const struct nvl_choice *choice,
                         unsigned capabilities, struct nvl_strv *packages)
{
    bool is_archive = choice->kind == NVL_CHOICE_ARCHIVE;

    if (choice->kind != NVL_CHOICE_PACKAGE && !is_archive)
        return;
    nvl_autofree char *debian = nvl_debian_module(choice->flavour, choice->series);
    nvl_strv_push(packages, is_archive ? nvl_archive_module(&facts->installed, choice->flavour) : debian);
    for (size_t i = 0; i < nvl_headless_length; i++)
        push_package(choice, nvl_headless_packages[i], packages);
    for (size_t i = 0; i < nvl_catalog_length; i++)
        if (is_wanted(&nvl_catalog[i], choice, capabilities))
            push_package(choice, nvl_catalog[i].package, packages);
    if (facts->system.secure_boot == NVL_SECURE_BOOT_ON)
        add_signing_tools(packages);
}

void nvl_missing_packages(const struct nvl_setup_facts *facts, const struct nvl_strv *packages,
                          struct nvl_strv *missing)
{
    for (size_t i = 0; i < packages->count; i++) {
        const char *package = packages->items[i]; /* may end in "/suite" */
        nvl_autofree char *name = nvl_xstrndup(package, strcspn(package, "/"));
        if (nvl_setup_installed(facts, name) == NULL)
            nvl_strv_push(missing, package);
    }
}

void nvl_setup_step_install(struct nvl_setup_step *step, const struct nvl_strv *packages,
                            const char *on_failure)
{
    struct nvl_strv *argv = nvl_setup_step_command(step, "apt-get", "install", "--yes",
                                                   "--no-install-recommends", "--no-remove", NULL);

    for (size_t i = 0; i < packages->count; i++)
        nvl_strv_push(argv, packages->items[i]);
    step->installs = true;
    step->on_failure = on_failure;
}
