/* What keeps a GPU from being lent: each function looks for one obstacle. */

#include "lend/card.h"

#include <stdio.h>

#include "base/root.h"
#include "host/boot_commands.h"
#include "host/module.h"
#include "host/pci.h"
#include "host/system.h"

#define DRM_MODESET "/sys/module/nvidia_drm/parameters/modeset"
#define DRM_USES    "/sys/module/nvidia_drm/refcnt"
#define GRAPHICS    "/sys/class/graphics"

/* Without one vfio-pci takes no device: the VM's memory accesses could not be kept apart. */
static void find_missing_iommu(const struct nvl_card *card, struct nvl_obstacles *o)
{
    bool has_all = true;

    for (size_t i = 0; i < card->count; i++)
        has_all = has_all && card->functions[i].group >= 0;
    if (has_all)
        return;
    nvl_strv_push(&o->what, "this machine's IOMMU is off, and without it no virtual machine can have a PCI "
                            "device");
    nvl_strv_push(&o->fix,
                  "switch on the IOMMU (Intel: VT-d; AMD: AMD-Vi, IOMMU) in the firmware's setup; if "
                  "it is on, and the processor is Intel's, add intel_iommu=on to the kernel's command "
                  "line, and reboot");
}

static void find_neighbours(const struct nvl_card *card, struct nvl_obstacles *o)
{
    nvl_autofree char *list = nvl_strv_join(&card->neighbours, ", ");

    if (card->neighbours.count == 0)
        return;
    nvl_strv_pushf(&o->what,
                   "its IOMMU group has other devices, which the virtual machine would need, too: %s", list);
    nvl_strv_push(&o->fix, "put the card into another slot: each slot at the processor mostly has a group of "
                           "its own");
}

/* A framebuffer of the firmware (simple-framebuffer.0, efi-framebuffer.0, vesa-framebuffer.0) is on the card
 * that the machine booted with; a DRM driver's names its PCI device. */
static bool is_framebuffer_on(const struct nvl_root *root, const char *name, const struct nvl_card *card,
                              bool is_boot_card)
{
    nvl_autofree char *path = nvl_xasprintf(GRAPHICS "/%s/device", name), *real = NULL;

    if (!nvl_has_prefix(name, "fb") || nvl_root_resolve(root, path, &real) < 0)
        return false;
    const char *last = strrchr(real, '/');
    bool is_firmwares = last != NULL && strstr(last, "-framebuffer.") != NULL;
    if (is_firmwares)
        return is_boot_card;
    for (size_t i = 0; i < card->count; i++)
        if (strstr(real, card->functions[i].pci) != NULL)
            return true;
    return false;
}

static void find_console(const struct nvl_root *root, const struct nvl_gpu *gpu, const struct nvl_card *card,
                         struct nvl_obstacles *o)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_autofree char *boot = nvl_xasprintf(NVL_PCI_DEVICES "/%s/boot_vga", gpu->pci);
    char text[8];
    bool is_boot_card = nvl_root_read_attribute(root, boot, text, sizeof text) == 0 && text[0] == '1';

    nvl_root_list(root, GRAPHICS, &names);
    for (size_t i = 0; i < names.count; i++) {
        if (!is_framebuffer_on(root, names.items[i], card, is_boot_card))
            continue;
        nvl_strv_pushf(&o->what, "the host's console is on it (%s), and keeps its memory", names.items[i]);
        nvl_strv_push(&o->fix, "let the firmware's setup choose another graphics card as the first one (the "
                               "processor's own); or, for a host without a screen, add "
                               "initcall_blacklist=sysfb_init to the kernel's command line, and reboot");
        return;
    }
}

/* With modeset the module itself holds the GPU, for the kernel: then the driver waits for ever to let it go.
 */
static void find_modeset(const struct nvl_host *host, const struct nvl_gpu *gpu, struct nvl_obstacles *o)
{
    nvl_auto(nvl_system_clear) struct nvl_system system = {0};
    char modeset[8], uses[16];

    if (gpu->card < 0 || nvl_root_read_attribute(host->root, DRM_MODESET, modeset, sizeof modeset) < 0 ||
        (modeset[0] != 'Y' && modeset[0] != '1'))
        return;
    nvl_strv_push(&o->what, "nvidia-drm drives displays on it (modeset=1), and keeps it in the kernel");
    if (nvl_root_read_attribute(host->root, DRM_USES, uses, sizeof uses) == 0 && strcmp(uses, "0") == 0) {
        nvl_strv_push(&o->fix, "modprobe -r nvidia_drm   # until the next boot; nothing uses it now");
        return;
    }
    nvl_system_read(host->root, &system, NULL);
    nvl_strv_push(&o->fix, "echo 'options nvidia-drm modeset=0' > /etc/modprobe.d/nvlxc-drm.conf");
    nvl_add_boot_commands(&system, NVL_BOOT_INITRAMFS, &o->fix);
    nvl_strv_push(&o->fix, "reboot");
}

static void find_virtual_parts(const struct nvl_host *host, const struct nvl_gpu *gpu,
                               struct nvl_obstacles *o)
{
    struct nvl_modules modules = {0};

    if (gpu->n_functions > 0)
        nvl_strv_pushf(&o->what, "it has %u virtual functions, which are given away one by one",
                       gpu->n_functions);
    if (nvl_modules_read(host->root, &modules, NULL) == 0 && modules.nvidia_vgpu_vfio)
        nvl_strv_push(&o->what, "this is NVIDIA's host driver for virtual GPUs, which gives them to virtual "
                                "machines itself");
}

void nvl_obstacles_find(const struct nvl_host *host, const struct nvl_gpu *gpu, const struct nvl_card *card,
                        struct nvl_obstacles *obstacles)
{
    find_missing_iommu(card, obstacles);
    find_neighbours(card, obstacles);
    find_console(host->root, gpu, card, obstacles);
    find_modeset(host, gpu, obstacles);
    find_virtual_parts(host, gpu, obstacles);
}

void nvl_obstacles_clear(struct nvl_obstacles *obstacles)
{
    nvl_strv_clear(&obstacles->what);
    nvl_strv_clear(&obstacles->fix);
}
