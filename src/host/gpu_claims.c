/* Searches for claims in one place of the host's configuration after the other. */
#include "host/gpu_claims.h"

#include <fnmatch.h>
#include <stdio.h>

#include "host/boot_commands.h"
#include "host/config_lines.h"
#include "host/pci.h"

#define FILES_MAX 1024 /* of one folder */
#define ANY_ID    0xffffffffu

/* What to search for. */
struct search {
    const struct nvl_root *root;
    const struct nvl_modprobe *modprobe;
    const struct nvl_gpu *gpu;
    const char *driver;
    struct nvl_claims *claims;
};

static struct nvl_claim *add_claim(struct nvl_claims *claims, unsigned parts)
{
    struct nvl_claim *claim = NVL_APPEND(claims->items, claims->count);

    *claim = (struct nvl_claim){.parts = parts};
    return claim;
}

static bool is_word_end(char c)
{
    return c == '\0' || strchr(" \t\r\n\"'", c) != NULL;
}

/* ---- ids: of a module's options, and of the kernel's command line ---- */

/* "10de:2438", "10de:2438:1028:0b2b", "10de:ffffffff:ffffffff:ffffffff:00030000:ffff0000"; a class that is
 * named means all GPUs. Source: pci_add_dynid's callers, drivers/vfio/pci/vfio_pci.c. */
static bool is_id_of(const char *id, const struct nvl_gpu *gpu)
{
    unsigned vendor, device, part[2], class = 0x030000, mask = 0;

    if (sscanf(id, "%8x:%8x:%8x:%8x:%8x:%8x", &vendor, &device, &part[0], &part[1], &class, &mask) < 2)
        return false;
    return vendor == NVL_VENDOR_NVIDIA && (device == gpu->pci_device || device == ANY_ID) &&
           ((class ^ 0x030000) & mask & 0xff0000) == 0;
}

/* The id of a list that means the GPU; the caller frees; NULL. */
static char *find_listed_id(const char *list, const struct nvl_gpu *gpu)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv ids = {0};

    nvl_strv_split(&ids, list, ",\"'");
    for (size_t i = 0; i < ids.count; i++)
        if (is_id_of(ids.items[i], gpu))
            return nvl_xstrdup(ids.items[i]);
    return NULL;
}

/* A command that edits a file with sed. A file of a package's or the boot's is hidden by a copy in /etc. */
static void add_sed_edit(struct nvl_strv *fix, const char *edit, const char *file, const char *folder)
{
    if (nvl_has_prefix(file, "/etc/"))
        nvl_strv_pushf(fix, "sed -i '%s' %s", edit, file);
    else
        nvl_strv_pushf(fix, "sed '%s' %s > %s%s", edit, file, folder, strrchr(file, '/'));
}

static void add_sed_comment(struct nvl_strv *fix, const char *file, size_t number, const char *folder)
{
    nvl_autofree char *edit = nvl_xasprintf("%zus/^/# /", number);

    add_sed_edit(fix, edit, file, folder);
}

static void find_options(const struct search *s)
{
    nvl_auto(nvl_modprobe_lines_clear) struct nvl_modprobe_lines lines = {0};

    nvl_modprobe_find(s->modprobe, "options", s->driver, &lines);
    for (size_t i = 0; i < lines.count; i++) {
        const struct nvl_modprobe_line *line = &lines.items[i];
        const char *ids = strstr(line->text, " ids=");
        nvl_autofree char *id = ids != NULL ? find_listed_id(ids + strlen(" ids="), s->gpu) : NULL;
        if (id == NULL)
            continue;
        struct nvl_claim *claim = add_claim(s->claims, NVL_BOOT_INITRAMFS);
        nvl_strv_pushf(&claim->places, "%s:%zu: %s", line->file, line->number, line->text);
        nvl_autofree char *edit = nvl_xasprintf("s/%s,\\{0,1\\}//I", id);
        add_sed_edit(&claim->fix, edit, line->file, nvl_modprobe_folders[0]);
    }
}

/* ---- the kernel's command line ---- */

/* A place where the boot loader has a word of the command line. */
struct boot_word {
    const char *word; /* all of it */
    const char *part; /* what to remove: an item of its list; NULL for all of it */
    struct nvl_claim *claim;
};

static void take_boot_line(void *data, const char *path, size_t number, const char *line)
{
    const struct boot_word *wanted = data;
    size_t len = strlen(wanted->word);
    const char *at = strstr(line, wanted->word);

    while (at != NULL &&
           !((at == line || at[-1] == '"' || at[-1] == '\'' || at[-1] == ' ') && is_word_end(at[len])))
        at = strstr(at + 1, wanted->word);
    if (at == NULL)
        return;
    nvl_strv_pushf(&wanted->claim->places, "%s:%zu: %s", path, number, line);
    nvl_strv_pushf(&wanted->claim->fix, "sed -i '%zus/%s%s//I' %s", number,
                   wanted->part != NULL ? wanted->part : wanted->word,
                   wanted->part != NULL ? ",\\{0,1\\}" : "", path);
    wanted->claim->parts |= strcmp(path, "/etc/kernel/cmdline") == 0 ? NVL_BOOT_TOOL : NVL_BOOT_GRUB;
}

/* A word of the running kernel's command line, or an item of its list. */
static void add_cmdline_claim(const struct nvl_root *root, const char *word, const char *part,
                              struct nvl_claims *claims)
{
    static const char *const folders[] = {"/etc/default/grub.d", NULL};
    struct boot_word wanted = {word, part, add_claim(claims, 0)};

    nvl_strv_pushf(&wanted.claim->places, "/proc/cmdline: %s", word);
    nvl_visit_config_file(root, "/etc/kernel/cmdline", take_boot_line, &wanted);
    nvl_visit_config_file(root, "/etc/default/grub", take_boot_line, &wanted);
    nvl_visit_config_folders(root, folders, ".cfg", take_boot_line, &wanted);
    if (wanted.claim->fix.count == 0)
        nvl_strv_pushf(&wanted.claim->fix,
                       "remove %s from the kernel's command line, in the boot loader's settings",
                       part != NULL ? part : word);
}

static bool is_parameter(const char *word, const char *module, const char *parameter)
{
    size_t i = 0;

    for (; module[i] != '\0'; i++)
        if (word[i] != module[i] && !(word[i] == '_' && module[i] == '-'))
            return false;
    return word[i] == '.' && nvl_has_prefix(word + i + 1, parameter);
}

static void find_cmdline_ids(const struct search *s)
{
    for (size_t i = 0; i < s->modprobe->cmdline.count; i++) {
        const char *word = s->modprobe->cmdline.items[i];
        nvl_autofree char *id =
            is_parameter(word, s->driver, "ids=") ? find_listed_id(strchr(word, '=') + 1, s->gpu) : NULL;
        if (id != NULL)
            add_cmdline_claim(s->root, word, id, s->claims);
    }
}

/* ---- lines of modprobe's that name the driver ---- */

/* "alias pci:v000010DEd00002438sv*sd*bc03sc00i* vfio-pci": of the pattern, vendor and device. */
static bool is_alias_of(const struct nvl_modprobe_line *line, const struct nvl_gpu *gpu, const char *driver)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    nvl_autofree char *ids = nvl_xasprintf("pci:v%08Xd%08X", (unsigned)NVL_VENDOR_NVIDIA, gpu->pci_device);

    nvl_strv_split(&words, line->text, " ");
    if (words.count != 3 || strcmp(words.items[0], "alias") != 0 || strcmp(words.items[2], driver) != 0)
        return false;
    char *rest = strstr(words.items[1], "sv");
    if (rest != NULL)
        *rest = '\0';
    return fnmatch(words.items[1], ids, 0) == 0;
}

static void find_aliases(const struct search *s)
{
    for (size_t i = 0; i < s->modprobe->lines.count; i++) {
        const struct nvl_modprobe_line *line = &s->modprobe->lines.items[i];
        if (!is_alias_of(line, s->gpu, s->driver))
            continue;
        struct nvl_claim *claim = add_claim(s->claims, NVL_BOOT_INITRAMFS);
        nvl_strv_pushf(&claim->places, "%s:%zu: %s", line->file, line->number, line->text);
        add_sed_comment(&claim->fix, line->file, line->number, nvl_modprobe_folders[0]);
    }
}

/* ---- udev's rules ---- */

/* One condition of a rule, `KEY=="A|B"`; true also if it is about something unknown here. */
static bool is_met(const char *key, size_t key_len, const char *values, size_t len, const struct nvl_gpu *gpu)
{
    nvl_autofree char *device = nvl_xasprintf("0x%04x", gpu->pci_device);
    const struct {
        const char *key, *value;
    } known[] = {{"KERNEL", gpu->pci},        {"KERNELS", gpu->pci},       {"ATTR{vendor}", "0x10de"},
                 {"ATTRS{vendor}", "0x10de"}, {"ATTR{device}", device},    {"ATTRS{device}", device},
                 {"SUBSYSTEM", "pci"},        {"ATTR{class}", "0x03????"}, {"ATTRS{class}", "0x03????"}};
    nvl_autofree char *list = nvl_xstrndup(values, len);
    nvl_auto(nvl_strv_clear) struct nvl_strv alternatives = {0};

    nvl_strv_split(&alternatives, list, "|");
    for (size_t i = 0; i < NVL_LENGTH(known); i++) {
        if (strlen(known[i].key) != key_len || strncmp(known[i].key, key, key_len) != 0)
            continue;
        for (size_t a = 0; a < alternatives.count; a++)
            if (fnmatch(alternatives.items[a], known[i].value, FNM_CASEFOLD) == 0 ||
                fnmatch(known[i].value, alternatives.items[a], FNM_CASEFOLD) == 0)
                return true;
        return false;
    }
    return true;
}

/* Whether the conditions of a rule fit the GPU. Source: udev(7). */
static bool is_rule_for(const char *line, const struct nvl_gpu *gpu)
{
    const char *at = line;

    while ((at = strstr(at, "==\"")) != NULL) {
        const char *key = at, *value = at + strlen("==\"");
        size_t len = strcspn(value, "\"");
        while (key > line && strchr(", \t", key[-1]) == NULL)
            key--;
        if (!is_met(key, (size_t)(at - key), value, len, gpu))
            return false;
        at = value + len;
    }
    return true;
}

static void take_udev_rule(void *data, const char *path, size_t number, const char *line)
{
    const struct search *s = data;

    if (strstr(line, "driver_override") == NULL || strstr(line, s->driver) == NULL ||
        !is_rule_for(line, s->gpu))
        return;
    struct nvl_claim *claim = add_claim(s->claims, NVL_BOOT_INITRAMFS);
    nvl_strv_pushf(&claim->places, "%s:%zu: %s", path, number, line);
    add_sed_comment(&claim->fix, path, number, "/etc/udev/rules.d");
}

/* ---- driverctl, scripts, VMs ---- */

/* A file for each device, with the driver's name in it. Source: driverctl(8). */
static void find_driverctl(const struct search *s)
{
    nvl_autofree char *path = nvl_xasprintf("/etc/driverctl.d/%s", s->gpu->pci);
    char name[64];

    if (nvl_root_read_attribute(s->root, path, name, sizeof name) < 0 || strcmp(name, s->driver) != 0)
        return;
    struct nvl_claim *claim = add_claim(s->claims, 0);
    nvl_strv_pushf(&claim->places, "%s:1: %s", path, name);
    nvl_strv_pushf(&claim->fix, "driverctl unset-override %s", s->gpu->pci);
}

struct script {
    const struct search *search;
    bool names_gpu;
    struct nvl_strv places;
};

static void take_script_line(void *data, const char *path, size_t number, const char *line)
{
    struct script *script = data;
    const struct nvl_gpu *gpu = script->search->gpu;
    nvl_autofree char *device = nvl_xasprintf("%04x", gpu->pci_device);
    const char *start = strchr(gpu->pci, ':') + 1;
    nvl_autofree char *slot = nvl_xstrndup(start, strcspn(start, "."));

    script->names_gpu |= strstr(line, slot) != NULL || strcasestr(line, device) != NULL;
    if ((strstr(line, "driver_override") != NULL || strstr(line, "new_id") != NULL ||
         strstr(line, "/bind") != NULL) &&
        strstr(line, script->search->driver) != NULL)
        nvl_strv_pushf(&script->places, "%s:%zu: %s", path, number, line);
}

/* A script that binds devices to the driver, and names the GPU. */
static void look_at_script(const struct search *s, const char *path, unsigned parts)
{
    struct script script = {.search = s};

    nvl_visit_config_file(s->root, path, take_script_line, &script);
    if (script.names_gpu && script.places.count > 0) {
        struct nvl_claim *claim = add_claim(s->claims, parts);
        claim->places = script.places;
        nvl_strv_pushf(&claim->fix, "remove %s from what %s gives to %s", s->gpu->pci, path, s->driver);
    } else {
        nvl_strv_clear(&script.places);
    }
}

static void find_scripts(const struct search *s)
{
    static const struct {
        const char *folder;
        unsigned parts;
    } folders[] = {{"/etc/initramfs-tools/scripts/init-top", NVL_BOOT_INITRAMFS},
                   {"/etc/initramfs-tools/scripts/init-premount", NVL_BOOT_INITRAMFS},
                   {"/etc/initramfs-tools/scripts/local-top", NVL_BOOT_INITRAMFS},
                   {"/etc/systemd/system", 0}};

    look_at_script(s, "/etc/rc.local", 0);
    for (size_t i = 0; i < NVL_LENGTH(folders); i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        nvl_root_list(s->root, folders[i].folder, &names);
        for (size_t n = 0; n < names.count && n < FILES_MAX; n++) {
            nvl_autofree char *path = nvl_xasprintf("%s/%s", folders[i].folder, names.items[n]);
            look_at_script(s, path, folders[i].parts);
        }
    }
}

/* A VM gives it back without a reboot, and need not lose it for good. */
static void add_turns(const struct nvl_vm_device *device, const struct nvl_gpu *gpu, struct nvl_strv *fix)
{
    if (gpu->driver == NVL_GPU_VFIO) {
        if (device->runs)
            nvl_strv_pushf(fix, "qm shutdown %s", device->vm);
        nvl_strv_pushf(fix, "nvlxc gpu back %s", gpu->pci);
    }
    if (!device->goes && !device->takes_turns)
        nvl_strv_pushf(
            fix,
            "nvlxc gpu hookscript install %s   # from then on they take turns; or for good: qm set %s "
            "--delete %s",
            device->vm, device->vm, device->key);
}

void nvl_vm_claims_read(const struct nvl_vm_devices *vms, const struct nvl_gpu *gpu,
                        struct nvl_claims *claims)
{
    for (size_t i = 0; i < vms->count; i++) {
        const struct nvl_vm_device *device = &vms->items[i];
        if (!nvl_vm_device_is(device, gpu->pci))
            continue;
        struct nvl_claim *claim = add_claim(claims, 0);
        claim->vm = device;
        for (size_t p = 0; p < device->places.count; p++)
            nvl_strv_push(&claim->places, device->places.items[p]);
        add_turns(device, gpu, &claim->fix);
    }
}

void nvl_module_claims_read(const struct nvl_root *root, const struct nvl_modprobe *modprobe,
                            const struct nvl_gpu *gpu, const char *driver, struct nvl_claims *claims)
{
    struct search search = {root, modprobe, gpu, driver, claims};

    find_options(&search);
    find_cmdline_ids(&search);
    find_aliases(&search);
}

void nvl_gpu_claims_read(const struct nvl_root *root, const struct nvl_modprobe *modprobe,
                         const struct nvl_vm_devices *vms, const struct nvl_gpu *gpu, const char *driver,
                         struct nvl_claims *claims)
{
    static const char *const rules[] = {"/etc/udev/rules.d",           "/run/udev/rules.d",
                                        "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d",
                                        "/lib/udev/rules.d",           NULL};
    struct search search = {root, modprobe, gpu, driver, claims};

    nvl_module_claims_read(root, modprobe, gpu, driver, claims);
    nvl_visit_config_folders(root, rules, ".rules", take_udev_rule, &search);
    find_driverctl(&search);
    find_scripts(&search);
    if (strcmp(driver, "vfio-pci") == 0)
        nvl_vm_claims_read(vms, gpu, claims);
}

/* ---- what keeps NVIDIA's module away ---- */

/* The module's names: as loaded, and as Debian's packages name the file. */
static bool is_nvidias_name(const char *name, size_t len)
{
    static const char *const names[] = {"nvidia", "nvidia-current", "nvidia-current-open", "nvidia-open"};

    for (size_t i = 0; i < NVL_LENGTH(names); i++) {
        size_t n = 0;
        while (n < len && names[i][n] != '\0' &&
               (name[n] == names[i][n] || (name[n] == '_' && names[i][n] == '-')))
            n++;
        if (n == len && names[i][n] == '\0')
            return true;
    }
    return false;
}

bool nvl_is_nvidia_barrier(const struct nvl_modprobe_line *line)
{
    const char *name = line->text + strcspn(line->text, " ");

    name += *name != '\0';
    if (!is_nvidias_name(name, strcspn(name, " ")))
        return false;
    /* Debian's packages load it by `install nvidia modprobe -i nvidia-current …` */
    return nvl_has_prefix(line->text, "blacklist ") ||
           (nvl_has_prefix(line->text, "install ") && strstr(line->text, "modprobe") == NULL);
}

static void find_cmdline_barriers(const struct nvl_root *root, const struct nvl_modprobe *modprobe,
                                  struct nvl_claims *claims)
{
    static const char *const parameters[] = {
        "modprobe.blacklist=", "module_blacklist=", "rd.driver.blacklist="};

    for (size_t i = 0; i < modprobe->cmdline.count; i++)
        for (size_t p = 0; p < NVL_LENGTH(parameters); p++) {
            const char *word = modprobe->cmdline.items[i];
            nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
            if (!nvl_has_prefix(word, parameters[p]))
                continue;
            nvl_strv_split(&names, word + strlen(parameters[p]), ",");
            for (size_t n = 0; n < names.count; n++)
                if (is_nvidias_name(names.items[n], strlen(names.items[n])))
                    add_cmdline_claim(root, word, names.count > 1 ? names.items[n] : NULL, claims);
        }
}

void nvl_nvidia_barriers_read(const struct nvl_root *root, const struct nvl_modprobe *modprobe,
                              struct nvl_claims *claims)
{
    for (size_t i = 0; i < modprobe->lines.count; i++) {
        const struct nvl_modprobe_line *line = &modprobe->lines.items[i];
        if (!nvl_is_nvidia_barrier(line))
            continue;
        struct nvl_claim *claim = add_claim(claims, NVL_BOOT_INITRAMFS);
        nvl_strv_pushf(&claim->places, "%s:%zu: %s", line->file, line->number, line->text);
        add_sed_comment(&claim->fix, line->file, line->number, nvl_modprobe_folders[0]);
    }
    find_cmdline_barriers(root, modprobe, claims);
}

/* ---- the results ---- */

void nvl_claims_clear(struct nvl_claims *claims)
{
    for (size_t i = 0; i < claims->count; i++) {
        nvl_strv_clear(&claims->items[i].places);
        nvl_strv_clear(&claims->items[i].fix);
    }
    free(claims->items);
    *claims = (struct nvl_claims){0};
}

void nvl_claims_evidence(const struct nvl_claims *claims, struct nvl_strv *evidence)
{
    for (size_t i = 0; i < claims->count; i++)
        for (size_t p = 0; p < claims->items[i].places.count; p++)
            nvl_strv_push(evidence, claims->items[i].places.items[p]);
}

void nvl_claims_fix(const struct nvl_claims *claims, const struct nvl_system *system, bool reboot,
                    struct nvl_strv *fix)
{
    unsigned parts = 0;
    bool is_configured = false;

    for (size_t i = 0; i < claims->count; i++) {
        is_configured |= claims->items[i].vm == NULL;
        parts |= claims->items[i].parts;
        for (size_t c = 0; c < claims->items[i].fix.count; c++)
            nvl_strv_push_once(fix, claims->items[i].fix.items[c]);
    }
    nvl_add_boot_commands(system, parts, fix);
    if (reboot && is_configured)
        nvl_strv_push(fix, "reboot");
}
