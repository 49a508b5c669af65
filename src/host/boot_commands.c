/* The table of boot commands. Sources: update-initramfs(8), dracut(8), mkinitcpio(8), update-grub(8), the
 * boot pages of ArchWiki and openSUSE, Proxmox VE's administration guide. */
#include "host/boot_commands.h"

#define DRACUT    "dracut --force --regenerate-all"
#define INITRAMFS "update-initramfs -u -k all"

/* Fedora and its relatives keep the command line in an entry per kernel: no single command fits all. */
static const struct {
    const char *grub, *initramfs;
} commands[NVL_FAMILIES] = {
    [NVL_FAMILY_DEBIAN] = {"update-grub", INITRAMFS},
    [NVL_FAMILY_UBUNTU] = {"update-grub", INITRAMFS},
    [NVL_FAMILY_FEDORA] = {NULL, DRACUT},
    [NVL_FAMILY_RHEL] = {NULL, DRACUT},
    [NVL_FAMILY_SUSE] = {"grub2-mkconfig -o /boot/grub2/grub.cfg", DRACUT},
    [NVL_FAMILY_ARCH] = {"grub-mkconfig -o /boot/grub/grub.cfg", "mkinitcpio -P"},
};

static void add_command(const char *command, const char *what, struct nvl_strv *fix)
{
    if (command != NULL)
        nvl_strv_push(fix, command);
    else
        nvl_strv_pushf(fix, "rebuild %s, by this distribution's own way", what);
}

void nvl_add_boot_commands(const struct nvl_system *system, unsigned parts, struct nvl_strv *fix)
{
    enum nvl_family family = nvl_family_of(system);

    if ((parts & NVL_BOOT_GRUB) != 0)
        add_command(commands[family].grub, "the boot loader's configuration", fix);
    if ((parts & NVL_BOOT_TOOL) != 0)
        nvl_strv_push(fix, "proxmox-boot-tool refresh");
    if ((parts & NVL_BOOT_INITRAMFS) != 0)
        add_command(commands[family].initramfs, "the initramfs", fix);
}
