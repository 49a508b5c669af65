/* Reads what host setup plans from. */
#include "setup/inventory.h"

#include <fcntl.h>

#include "host/modprobe.h"
#include "host/userspace.h"

#define SMALL_MAX (256u << 10) /* bytes of a configuration file, a key, an EFI variable */
/* The keys that the shim will ask about at the next boot. */
#define MOK_PENDING "/sys/firmware/efi/efivars/MokNew-605dab50-e046-4300-abb6-3dd810dd8b23"

static char *read_text(const struct nvl_root *root, const char *path)
{
    char *text = NULL;
    size_t len;

    return nvl_root_read(root, path, SMALL_MAX, &text, &len) == 0 ? text : NULL;
}

static void find_unwanted(const struct nvl_root *root, struct nvl_setup_facts *facts)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    bool has_nova = facts->modules.nova_core;

    nvl_root_list(root, "/lib/modules", &names);
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *nova =
            nvl_xasprintf("/lib/modules/%s/kernel/drivers/gpu/nova-core", names.items[i]);
        has_nova = has_nova || nvl_root_exists(root, nova);
    }
    nvl_strv_push(&facts->unwanted, "nouveau");
    if (has_nova) {
        nvl_strv_push(&facts->unwanted, "nova_core");
        nvl_strv_push(&facts->unwanted, "nova_drm");
    }
}

static struct nvl_setup_file *find_file(const struct nvl_root *root, const char *source,
                                        struct nvl_setup_facts *facts)
{
    bool is_admins = nvl_has_prefix(source, "/etc/");
    char *text;

    for (size_t i = 0; i < facts->n_files; i++)
        if (strcmp(facts->files[i].source, source) == 0)
            return &facts->files[i];
    if ((text = read_text(root, source)) == NULL)
        return NULL;
    struct nvl_setup_file *file = NVL_APPEND(facts->files, facts->n_files);
    *file = (struct nvl_setup_file){
        .source = nvl_xstrdup(source),
        .path = is_admins ? nvl_xstrdup(source)
                          : nvl_xasprintf("%s%s", nvl_modprobe_folders[0], strrchr(source, '/')),
        .old_text = is_admins ? nvl_xstrdup(text) : NULL,
        .new_text = text};
    return file;
}

/* Turns that line into a comment. */
static void comment_out(struct nvl_setup_file *file, size_t number)
{
    const char *at = file->new_text;

    for (size_t i = 1; i < number && at != NULL; i++) {
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    if (at == NULL)
        return;
    char *text = nvl_xasprintf("%.*s# %s", (int)(at - file->new_text), file->new_text, at);
    free(file->new_text);
    file->new_text = text;
}

/* What remains from a GPU that a virtual machine had, or prepares one for a virtual machine. */
static void read_passthrough(const struct nvl_root *root, const struct nvl_modprobe *modprobe,
                             struct nvl_setup_facts *facts)
{
    nvl_nvidia_barriers_read(root, modprobe, &facts->barriers);
    for (size_t i = 0; i < modprobe->lines.count; i++) {
        const struct nvl_modprobe_line *line = &modprobe->lines.items[i];
        struct nvl_setup_file *file = nvl_is_nvidia_barrier(line) ? find_file(root, line->file, facts) : NULL;
        if (file != NULL)
            comment_out(file, line->number);
    }
    for (size_t i = 0; i < facts->gpus.count; i++) {
        const struct nvl_gpu *gpu = &facts->gpus.items[i];
        if (gpu->driver != NVL_GPU_VFIO && nvl_gpu_state(gpu) != NVL_GPU_IS_VIRTUAL)
            nvl_module_claims_read(root, modprobe, gpu, "vfio-pci", &facts->claims);
    }
}

static void read_blacklist(const struct nvl_root *root, struct nvl_setup_facts *facts)
{
    nvl_auto(nvl_modprobe_clear) struct nvl_modprobe modprobe;

    nvl_modprobe_read(root, &modprobe);
    read_passthrough(root, &modprobe, facts);
    for (size_t i = 0; i < facts->unwanted.count; i++) {
        nvl_auto(nvl_modprobe_lines_clear) struct nvl_modprobe_lines lines = {0};
        nvl_modprobe_find(&modprobe, "blacklist", facts->unwanted.items[i], &lines);
        if (lines.count > 0)
            nvl_strv_push(&facts->blacklisted, facts->unwanted.items[i]);
    }
    facts->blacklist = read_text(root, NVL_SETUP_BLACKLIST);
}

static bool is_older(struct timespec a, struct timespec b)
{
    return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

/* The last change to the files that an initial RAM disk has a copy of: setup comments lines out in any of
 * them. */
static struct timespec newest_modprobe_file(const struct nvl_root *root)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct timespec newest = {0};
    struct stat st;

    nvl_root_list(root, nvl_modprobe_folders[0], &names);
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", nvl_modprobe_folders[0], names.items[i]);
        if (nvl_has_suffix(path, ".conf") && nvl_root_stat(root, path, 0, &st) == 0 &&
            is_older(newest, st.st_mtim))
            newest = st.st_mtim;
    }
    return newest;
}

/* Only the image of a kernel: update-initramfs leaves others beside it while it works (.new, .dpkg-bak). */
static void read_initramfs(const struct nvl_root *root, struct nvl_setup_facts *facts)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct timespec newest = newest_modprobe_file(root);
    struct stat st;

    if (!nvl_root_exists(root, "/usr/sbin/update-initramfs") || nvl_root_list(root, "/boot", &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        static const char kernel[] = "vmlinuz-";
        if (!nvl_has_prefix(names.items[i], kernel))
            continue;
        nvl_autofree char *image = nvl_xasprintf("/boot/initrd.img-%s", names.items[i] + strlen(kernel));
        if (nvl_root_stat(root, image, 0, &st) < 0)
            continue;
        facts->has_initramfs = true;
        facts->initramfs_is_old = facts->initramfs_is_old || is_older(st.st_mtim, newest);
    }
}

/* The list contains each key byte for byte as in its file. */
static bool key_is_pending(const struct nvl_root *root, const char *path)
{
    nvl_autofree char *key = NULL, *list = NULL;
    size_t key_len, list_len;

    return path != NULL && nvl_root_read(root, path, SMALL_MAX, &key, &key_len) == 0 && key_len > 0 &&
           nvl_root_read(root, MOK_PENDING, SMALL_MAX, &list, &list_len) == 0 &&
           memmem(list, list_len, key, key_len) != NULL;
}

static void read_boot_unit(const struct nvl_root *root, struct nvl_setup_facts *facts)
{
    static const char *const folders[] = {"/usr/lib/systemd/system", "/lib/systemd/system",
                                          "/etc/systemd/system"};
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    for (size_t i = 0; i < NVL_LENGTH(folders); i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", folders[i], NVL_SETUP_BOOT_UNIT);
        facts->has_boot_unit = facts->has_boot_unit || nvl_root_exists(root, path);
    }
    if (nvl_root_list(root, "/etc/systemd/system", &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *link =
            nvl_xasprintf("/etc/systemd/system/%s/%s", names.items[i], NVL_SETUP_BOOT_UNIT);
        struct stat st;
        if (nvl_has_suffix(names.items[i], ".wants") || nvl_has_suffix(names.items[i], ".requires"))
            facts->boot_unit_is_enabled =
                facts->boot_unit_is_enabled || nvl_root_stat(root, link, AT_SYMLINK_NOFOLLOW, &st) == 0;
    }
}

/* dpkg's journal, in files named by numbers, goes into its status as it ends. Source: apt's
 * debSystem::CheckUpdates, which refuses to install as long as there is one. */
static void read_dpkg_journal(const struct nvl_root *root, struct nvl_setup_facts *facts)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_root_list(root, "/var/lib/dpkg/updates", &names);
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i];
        facts->dpkg_is_interrupted =
            facts->dpkg_is_interrupted || (name[0] != '\0' && name[strspn(name, "0123456789")] == '\0');
    }
}

/* The file contains only the kernel's name. Source: proxmox-boot-tool. */
static void read_pinned(const struct nvl_root *root, struct nvl_setup_facts *facts)
{
    facts->pinned = read_text(root, "/etc/kernel/proxmox-boot-pin");
    if (facts->pinned != NULL)
        facts->pinned[strcspn(facts->pinned, " \t\r\n")] = '\0';
}

int nvl_setup_facts_read(const struct nvl_root *root, struct nvl_setup_facts *facts, struct nvl_error *err)
{
    nvl_auto(nvl_userspace_clear) struct nvl_userspace userspace = {0};

    *facts = (struct nvl_setup_facts){0};
    int r = nvl_system_read(root, &facts->system, err);
    if (r == 0)
        r = nvl_gpus_read(root, NVL_GPUS_ALL, &facts->gpus, err);
    if (r == 0)
        r = nvl_driver_version_read(root, &facts->loaded, err);
    if (r == 0)
        r = nvl_modules_read(root, &facts->modules, err);
    if (r == 0)
        r = nvl_sources_read(root, &facts->sources, err);
    if (r == 0)
        r = nvl_userspace_read(root, &userspace, err);
    if (r < 0)
        return r;
    nvl_installed_driver_read(root, &facts->system, &userspace, &facts->loaded, &facts->installed);
    find_unwanted(root, facts);
    read_pinned(root, facts);
    read_dpkg_journal(root, facts);
    facts->backports = read_text(root, NVL_SOURCES_BACKPORTS);
    facts->pin = read_text(root, NVL_SOURCES_PIN);
    facts->archive_source = read_text(root, NVL_SOURCES_ARCHIVE);
    facts->archive_pin = read_text(root, NVL_SOURCES_ARCHIVE_PIN);
    facts->has_archive_key = nvl_root_exists(root, NVL_SOURCES_ARCHIVE_KEY);
    facts->has_x = nvl_root_exists(root, "/usr/bin/Xorg") || nvl_root_exists(root, "/usr/lib/xorg/Xorg");
    read_blacklist(root, facts);
    read_initramfs(root, facts);
    facts->key_is_pending = key_is_pending(root, facts->installed.signing_key);
    read_boot_unit(root, facts);
    return 0;
}

void nvl_setup_look_up(const struct nvl_root *root, const struct nvl_strv *names,
                       struct nvl_setup_facts *facts)
{
    for (size_t i = 0; i < names->count; i++) {
        char *version = nvl_setup_installed(facts, names->items[i]) == NULL
                            ? nvl_package_version(root, names->items[i])
                            : NULL;
        if (version != NULL)
            *NVL_APPEND(facts->packages, facts->n_packages) =
                (struct nvl_setup_package){nvl_xstrdup(names->items[i]), version};
    }
}

struct nvl_driver_need nvl_setup_need(const struct nvl_setup_facts *facts, const struct nvl_support *support)
{
    return (struct nvl_driver_need){.system = &facts->system,
                                    .gpus = &facts->gpus,
                                    .loaded = &facts->loaded,
                                    .installed = &facts->installed,
                                    .support = support};
}

const char *nvl_setup_installed(const struct nvl_setup_facts *facts, const char *package)
{
    for (size_t i = 0; i < facts->n_packages; i++)
        if (strcmp(facts->packages[i].name, package) == 0)
            return facts->packages[i].version;
    return NULL;
}

void nvl_setup_facts_clear(struct nvl_setup_facts *facts)
{
    nvl_system_clear(&facts->system);
    nvl_gpus_clear(&facts->gpus);
    nvl_installed_driver_clear(&facts->installed);
    nvl_sources_clear(&facts->sources);
    for (size_t i = 0; i < facts->n_packages; i++) {
        free(facts->packages[i].name);
        free(facts->packages[i].version);
    }
    free(facts->packages);
    free(facts->pinned);
    free(facts->backports);
    free(facts->pin);
    free(facts->archive_source);
    free(facts->archive_pin);
    free(facts->blacklist);
    nvl_claims_clear(&facts->barriers);
    nvl_claims_clear(&facts->claims);
    for (size_t i = 0; i < facts->n_files; i++) {
        free(facts->files[i].source);
        free(facts->files[i].path);
        free(facts->files[i].old_text);
        free(facts->files[i].new_text);
    }
    free(facts->files);
    nvl_strv_clear(&facts->unwanted);
    nvl_strv_clear(&facts->blacklisted);
    *facts = (struct nvl_setup_facts){0};
}
