/* Takes the commands out of the lines of a fix. */
#include "base/fix.h"

#include "base/text.h"

/* Programs whose command lines nvlxc prints, in alphabetical order. */
static const char *const programs[] = {
    "akmods",
    "apt",
    "apt-cache",
    "apt-get",
    "cat",
    "chmod",
    "chown",
    "cp",
    "curl",
    "depmod",
    "dkms",
    "dnf",
    "docker",
    "dpkg",
    "dpkg-reconfigure",
    "dracut",
    "driverctl",
    "echo",
    "gpasswd",
    "groupadd",
    "grub-mkconfig",
    "grub2-mkconfig",
    "incus",
    "journalctl",
    "kill",
    "ldconfig",
    "ln",
    "lspci",
    "lxc",
    "lxc-attach",
    "lxc-execute",
    "lxc-info",
    "lxc-start",
    "lxc-stop",
    "lxc-unfreeze",
    "mkdir",
    "mkinitcpio",
    "mknod",
    "modprobe",
    "mokutil",
    "mount",
    "mv",
    "nixos-rebuild",
    "nvidia-ctk",
    "nvidia-installer",
    "nvidia-modprobe",
    "nvidia-persistenced",
    "nvidia-smi",
    "nvidia-uninstall",
    "nvlxc",
    "pacman",
    "pct",
    "podman",
    "printf",
    "proxmox-boot-tool",
    "pvecm",
    "pvesh",
    "pvesm",
    "qm",
    "reboot",
    "rm",
    "rmdir",
    "rmmod",
    "sed",
    "setfacl",
    "sh",
    "snap",
    "ssh",
    "su",
    "sudo",
    "sysctl",
    "systemctl",
    "systemd-run",
    "tee",
    "ubuntu-drivers",
    "udevadm",
    "umount",
    "update-grub",
    "update-initramfs",
    "usermod",
    "wget",
    "zypper",
};

bool nvl_names_program(const char *text, size_t len)
{
    size_t word_len = 0;

    while (word_len < len && strchr(" ;&|", text[word_len]) == NULL)
        word_len++;
    for (size_t i = 0; i < NVL_LENGTH(programs); i++)
        if (strlen(programs[i]) == word_len && memcmp(programs[i], text, word_len) == 0)
            return true;
    return false;
}

/* The command that ends the line; NULL for none. */
static const char *find_command_line(const char *text)
{
    if (nvl_names_program(text, strlen(text)))
        return text;
    /* what quotes enclose may be a name that a user chose, or a line of a file; "driver's" opens none */
    char quote = '\0';
    for (const char *at = text; *at != '\0'; at++) {
        bool opens = (*at == '\'' || *at == '"') && (at == text || strchr(" (=", at[-1]) != NULL);
        if (quote != '\0' && *at == quote)
            quote = '\0';
        else if (quote == '\0' && opens)
            quote = *at;
        else if (quote == '\0' && nvl_has_prefix(at, ": ") && nvl_names_program(at + 2, strlen(at + 2)))
            return at + 2;
    }
    return NULL;
}

static void take_quoted(const char *text, struct nvl_fix_line *line)
{
    const char *open = strchr(text, '`'), *close = open != NULL ? strchr(open + 1, '`') : NULL;

    if (close != NULL && nvl_names_program(open + 1, (size_t)(close - open - 1))) {
        line->command = nvl_xstrndup(open + 1, (size_t)(close - open - 1));
        line->is_said = true;
    }
}

bool nvl_next_fix_line(const char **fix, struct nvl_fix_line *line)
{
    const char *text;
    size_t pos = 0, len;

    *line = (struct nvl_fix_line){0};
    if (*fix == NULL || !nvl_next_line(*fix, strlen(*fix), &pos, &text, &len))
        return false;
    *fix += pos;
    for (; len > 0 && text[0] == ' '; len--) /* a command below the words that lead to it is indented */
        text++;
    nvl_autofree char *whole = nvl_xstrndup(text, len);
    const char *command = find_command_line(whole);
    if (command == NULL) {
        line->text = nvl_xstrdup(whole);
        take_quoted(whole, line);
        return true;
    }
    line->command = nvl_xstrdup(command);
    if (command > whole)
        line->text = nvl_xstrndup(whole, (size_t)(command - whole) - strlen(": "));
    return true;
}

char *nvl_fix_in_line(const char *fix)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv lines = {0};

    nvl_strv_split(&lines, fix != NULL ? fix : "", "\n");
    return nvl_strv_join(&lines, "; ");
}

void nvl_fix_line_clear(struct nvl_fix_line *line)
{
    free(line->text);
    free(line->command);
    *line = (struct nvl_fix_line){0};
}
