/* The table of distributions. Sources: their own manuals of NVIDIA's driver (RPM Fusion's How-to, ArchWiki,
 * openSUSE's SDB, Ubuntu's server guide, the wikis of Gentoo and NixOS). */
#include "driver/distribution.h"

#include <string.h>

/* Lines; KERNEL stands for the running kernel. Where dkms builds the module, REBUILD is not asked for. */
static const char *const commands[NVL_FAMILIES][NVL_ACTIONS] = {
    [NVL_FAMILY_UBUNTU] = {[NVL_ACTION_INSTALL] = "ubuntu-drivers install\nreboot",
                           [NVL_ACTION_UPGRADE] = "apt update && ubuntu-drivers install\nreboot",
                           [NVL_ACTION_HEADERS] = "apt install linux-headers-KERNEL",
                           [NVL_ACTION_REBUILD] = "ubuntu-drivers install"},
    [NVL_FAMILY_FEDORA] =
        {[NVL_ACTION_INSTALL] =
             "dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda   # from RPM Fusion, nonfree\n"
             "reboot",
         [NVL_ACTION_UPGRADE] = "dnf upgrade --refresh akmod-nvidia xorg-x11-drv-nvidia-cuda\nreboot",
         [NVL_ACTION_HEADERS] = "dnf install kernel-devel-KERNEL",
         [NVL_ACTION_REBUILD] = "akmods --force --kernels KERNEL",
         [NVL_ACTION_LIBRARIES] = "dnf install xorg-x11-drv-nvidia-cuda"},
    [NVL_FAMILY_RHEL] = {[NVL_ACTION_HEADERS] = "dnf install kernel-devel-KERNEL"},
    [NVL_FAMILY_SUSE] =
        {[NVL_ACTION_INSTALL] =
             "zypper install-new-recommends --repo NVIDIA   # NVIDIA's repository of this release\n"
             "reboot",
         [NVL_ACTION_UPGRADE] = "zypper refresh && zypper update\nreboot",
         [NVL_ACTION_HEADERS] = "zypper install kernel-default-devel"},
    [NVL_FAMILY_ARCH] = {[NVL_ACTION_INSTALL] = "pacman -Syu nvidia-open-dkms nvidia-utils\nreboot",
                         [NVL_ACTION_UPGRADE] = "pacman -Syu\nreboot",
                         [NVL_ACTION_HEADERS] = "pacman -S linuxKIND-headers",
                         [NVL_ACTION_REBUILD] = "pacman -Syu\nreboot",
                         [NVL_ACTION_LIBRARIES] = "pacman -S nvidia-utils opencl-nvidia"},
    [NVL_FAMILY_GENTOO] = {[NVL_ACTION_INSTALL] = "emerge x11-drivers/nvidia-drivers",
                           [NVL_ACTION_UPGRADE] =
                               "emerge --sync && emerge --update x11-drivers/nvidia-drivers",
                           [NVL_ACTION_REBUILD] = "emerge @module-rebuild"},
    [NVL_FAMILY_NIXOS] =
        {[NVL_ACTION_INSTALL] =
             "in /etc/nixos/configuration.nix: services.xserver.videoDrivers = [ \"nvidia\" ]; "
             "hardware.graphics.enable = true; hardware.nvidia.open = true;\n"
             "nixos-rebuild boot && reboot",
         [NVL_ACTION_UPGRADE] = "nixos-rebuild boot --upgrade && reboot",
         [NVL_ACTION_REBUILD] = "nixos-rebuild boot && reboot",
         [NVL_ACTION_LIBRARIES] =
             "in /etc/nixos/configuration.nix: hardware.graphics.enable = true;\nnixos-rebuild switch"},
};

/* "-lts" of "6.12.60-1-lts", "" of "6.17.8-arch1-1": the suffix of Arch's package of that kernel. */
static const char *arch_kind(const char *kernel)
{
    static const char *const kinds[] = {"-lts", "-zen", "-hardened", "-rt"};

    for (size_t i = 0; i < NVL_LENGTH(kinds); i++)
        if (strstr(kernel, kinds[i]) != NULL)
            return kinds[i];
    return "";
}

/* The text with a word replaced; the caller frees. */
static char *replace_word(const char *text, const char *word, const char *by)
{
    const char *at = strstr(text, word);

    return at == NULL ? nvl_xstrdup(text)
                      : nvl_xasprintf("%.*s%s%s", (int)(at - text), text, by, at + strlen(word));
}

bool nvl_can_set_up(const struct nvl_system *system)
{
    return system->id != NULL && strcmp(system->id, "debian") == 0 && system->codename != NULL &&
           system->version_id != NULL && system->kernel != NULL &&
           (strcmp(system->version_id, "12") == 0 || strcmp(system->version_id, "13") == 0);
}

bool nvl_distribution_add(const struct nvl_system *system, enum nvl_driver_action action,
                          struct nvl_strv *fix)
{
    const char *kernel = system->kernel != NULL ? system->kernel : "$(uname -r)";
    const char *text = commands[nvl_family_of(system)][action];

    if (text == NULL)
        return false;
    nvl_autofree char *with_kernel = replace_word(text, "KERNEL", kernel);
    nvl_autofree char *whole = replace_word(with_kernel, "KIND", arch_kind(kernel));
    nvl_strv_split(fix, whole, "\n");
    return true;
}
