/* The names of packages: kernel headers by the kernel's name, the driver's by its flavour and by what the
 * capabilities need. */
#include "driver/catalog.h"
#include "setup/steps.h"

/* The release's file name in a package's name is what follows the version: "amd64" in "6.1.0-37-amd64" and
 * "6.12.107+deb13-amd64", "cloud-amd64" in "6.12.107+deb13-cloud-amd64". NULL for a kernel of other making.
 */
static const char *debian_flavour(const char *kernel)
{
    for (const char *dash = strchr(kernel, '-'); dash != NULL; dash = strchr(dash + 1, '-'))
        if (dash[1] >= 'a' && dash[1] <= 'z' && nvl_has_suffix(kernel, "-amd64"))
            return dash + 1;
    return NULL;
}

char *nvl_image_package(const char *kernel)
{
    const char *flavour = debian_flavour(kernel);
    size_t major = strspn(kernel, "0123456789") + 1;

    if (nvl_has_suffix(kernel, "-pve") && kernel[major - 1] == '.')
        return nvl_xasprintf("proxmox-kernel-%.*s", (int)(major + strspn(kernel + major, "0123456789")),
                             kernel);
    return flavour != NULL ? nvl_xasprintf("linux-image-%s", flavour) : NULL;
}

static void proxmox_headers(const char *kernel, const char *image_version, const char *image,
                            struct nvl_strv *packages)
{
    nvl_strv_pushf(packages, "proxmox-headers-%s", kernel);
    /* a series that is not the default one brings its headers along by a package of its own */
    if (image_version != NULL)
        nvl_strv_pushf(packages, "proxmox-headers-%s", image + strlen("proxmox-kernel-"));
    nvl_strv_push(packages, "proxmox-default-headers");
}

void nvl_header_packages(const struct nvl_setup_facts *facts, const struct nvl_choice *choice,
                         struct nvl_strv *packages)
{
    const char *kernel = choice->kernel;
    nvl_autofree char *image = nvl_image_package(kernel);
    const char *version = image != NULL ? nvl_setup_installed(facts, image) : NULL;

    if (choice->kernel_package != NULL) { /* `kernel` is a series */
        proxmox_headers(kernel, NULL, NULL, packages);
    } else if (nvl_has_suffix(kernel, "-pve") && image != NULL) {
        proxmox_headers(kernel, version, image, packages);
    } else if (image != NULL) {
        const char *flavour = image + strlen("linux-image-");
        nvl_strv_pushf(packages, "linux-headers-%s", kernel);
        /* a kernel from backports has its next headers there too */
        if (version != NULL && strstr(version, "~bpo") != NULL)
            nvl_strv_pushf(packages, "linux-headers-%s/%s-backports", flavour, facts->system.codename);
        else
            nvl_strv_pushf(packages, "linux-headers-%s", flavour);
    }
}

static void push_once(struct nvl_strv *packages, const char *package)
{
    if (!nvl_strv_contains(packages, package))
        nvl_strv_push(packages, package);
}

void nvl_driver_packages(const struct nvl_setup_facts *facts, const struct nvl_choice *choice,
                         unsigned capabilities, struct nvl_strv *packages)
{
    static const char *const headless[] = {"nvidia-smi",     "libcuda1",        "libnvidia-encode1",
                                           "libnvidia-cfg1", "nvidia-modprobe", "nvidia-persistenced"};

    if (choice->kind != NVL_CHOICE_PACKAGE)
        return;
    nvl_strv_push(packages,
                  choice->flavour == NVL_FLAVOUR_OPEN ? "nvidia-open-kernel-dkms" : "nvidia-kernel-dkms");
    for (size_t i = 0; i < NVL_LENGTH(headless); i++)
        nvl_strv_push(packages, headless[i]);
    for (size_t i = 0; i < nvl_catalog_length; i++)
        if (nvl_catalog[i].expected && nvl_catalog[i].package != NULL &&
            (nvl_catalog[i].capability & capabilities) != 0)
            push_once(packages, nvl_catalog[i].package);
    if (facts->system.secure_boot == NVL_SECURE_BOOT_ON)
        nvl_strv_push(packages, "mokutil");
}
