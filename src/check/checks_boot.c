/* What the next boot, kernel or start will bring: blacklists, headers, nodes before the guests; the hook; the
 * cluster; the host's cgroups. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/paths.h"
#include "check/families.h"
#include "check/host_checks.h"
#include "host/modprobe.h"

#define BOOT_UNIT   "nvlxc-boot.service"
#define UNIT_MAX    (64u << 10)
#define MOUNTS_FILE "/proc/mounts"
#define MOUNTS_MAX  (4u << 20)

static bool uses_nvidia(const struct nvl_host_facts *facts)
{
    return facts->host.gpus.count > 0 && (facts->host.driver.loaded || facts->installed.version[0] != '\0');
}

static bool kernel_has(const struct nvl_host_facts *facts, const char *folder)
{
    nvl_autofree char *modules =
        nvl_xasprintf("/lib/modules/%s/kernel", facts->system.kernel != NULL ? facts->system.kernel : "-");
    nvl_autofree char *path = nvl_xasprintf("%s/%s", modules, folder);

    return nvl_root_exists(facts->root, path);
}

/* Whether the folder of the kernel's modules is there and can be asked. */
static bool knows_kernel(const struct nvl_host_facts *facts)
{
    return kernel_has(facts, "drivers");
}

static bool is_kept_out(const struct nvl_host_facts *facts, const char *module,
                        struct nvl_modprobe_lines *lines)
{
    static const char *const forms[] = {"modprobe.blacklist=%s", "module_blacklist=%s",
                                        "rd.driver.blacklist=%s", "%s.modeset=0"};

    nvl_modprobe_find(facts->root, "blacklist", module, lines);
    nvl_modprobe_find(facts->root, "install", module, lines);
    for (size_t i = 0; i < NVL_LENGTH(forms); i++) {
        const char *percent = strstr(forms[i], "%s");
        nvl_autofree char *word =
            nvl_xasprintf("%.*s%s%s", (int)(percent - forms[i]), forms[i], module, percent + 2);
        if (nvl_cmdline_has(facts->root, word))
            return true;
    }
    return lines->count > 0;
}

static void say_not_kept_out(const struct nvl_check *check, const char *module, const char *lines,
                             struct nvl_findings *findings)
{
    nvl_autofree char *title = nvl_xasprintf("nothing keeps %s from taking the GPU at the next boot", module);
    struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_WARNING, title);

    nvl_finding_evidence(f,
                         "no line \"blacklist %s\" in /etc/modprobe.d, /run/modprobe.d or "
                         "/usr/lib/modprobe.d, and nothing of it in /proc/cmdline",
                         module);
    nvl_finding_cause(
        f, "whichever of the two drivers is loaded first has the GPU. Debian's blacklist comes with "
           "libcuda1 and the graphics packages, not with the kernel module; Proxmox VE's own "
           "blacklist names nvidiafb alone");
    nvl_finding_fix(f, "printf '%s' > /etc/modprobe.d/nvlxc-blacklist.conf\nupdate-initramfs -u -k all",
                    lines);
}

static void check_nouveau(const struct nvl_check *check, const struct nvl_host_facts *facts,
                          struct nvl_findings *findings)
{
    nvl_auto(nvl_modprobe_lines_clear) struct nvl_modprobe_lines lines = {0};

    if (!uses_nvidia(facts) || (knows_kernel(facts) && !kernel_has(facts, "drivers/gpu/drm/nouveau")) ||
        is_kept_out(facts, "nouveau", &lines))
        return;
    say_not_kept_out(check, "nouveau", "blacklist nouveau\\n", findings);
}

static void check_nova(const struct nvl_check *check, const struct nvl_host_facts *facts,
                       struct nvl_findings *findings)
{
    nvl_auto(nvl_modprobe_lines_clear) struct nvl_modprobe_lines lines = {0};

    if (!uses_nvidia(facts) || !kernel_has(facts, "drivers/gpu/nova-core") ||
        is_kept_out(facts, "nova_core", &lines))
        return;
    say_not_kept_out(check, "nova_core", "blacklist nova_core\\nblacklist nova_drm\\n", findings);
}

static void check_initramfs(const struct nvl_check *check, const struct nvl_host_facts *facts,
                            struct nvl_findings *findings)
{
    nvl_auto(nvl_modprobe_lines_clear) struct nvl_modprobe_lines lines = {0};
    struct stat image, st;

    if (!uses_nvidia(facts) || facts->system.kernel == NULL)
        return;
    nvl_autofree char *path = nvl_xasprintf("/boot/initrd.img-%s", facts->system.kernel);
    if (nvl_root_stat(facts->root, path, 0, &image) < 0)
        return;
    nvl_modprobe_find(facts->root, "blacklist", "nouveau", &lines);
    for (size_t i = 0; i < lines.count; i++) {
        if (nvl_root_stat(facts->root, lines.items[i].file, 0, &st) < 0 || st.st_mtime <= image.st_mtime)
            continue;
        struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_WARNING,
                                                 "the initramfs is older than the blacklist of nouveau");
        nvl_finding_evidence(f, "%s was written %lld seconds before %s", path,
                             (long long)(st.st_mtime - image.st_mtime), lines.items[i].file);
        nvl_finding_cause(
            f, "the initramfs has a copy of modprobe's configuration of its own, and loads modules "
               "before the root file system is there: nouveau can take the GPU in it");
        nvl_finding_fix(f, "update-initramfs -u -k all");
        return;
    }
}

/* "proxmox-headers-6.14" follows one series, as its kernel's package does. */
static bool has_series_headers(const struct nvl_host_facts *facts)
{
    const char *kernel = facts->system.kernel;
    size_t len = strcspn(kernel, ".");

    len += kernel[len] == '.' ? 1 + strspn(kernel + len + 1, "0123456789") : 0;
    nvl_autofree char *name = nvl_xasprintf("proxmox-headers-%.*s", (int)len, kernel);
    nvl_autofree char *version = nvl_package_version(facts->root, name);
    return version != NULL;
}

static void check_headers(const struct nvl_check *check, const struct nvl_host_facts *facts,
                          struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv fix = {0};
    nvl_autofree char *meta = nvl_headers_meta_package(&facts->system);

    if (!uses_nvidia(facts) || facts->installed.dkms_name == NULL || meta == NULL ||
        !nvl_root_exists(facts->root, "/var/lib/dpkg/status"))
        return;
    nvl_autofree char *version = nvl_package_version(facts->root, meta);
    if (version != NULL || (facts->system.is_proxmox && has_series_headers(facts)))
        return;
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_WARNING,
                         "the next kernel will come without its headers, and so without the driver's module");
    nvl_finding_evidence(f, "package %s is not installed; dkms builds %s/%s", meta,
                         facts->installed.dkms_name, facts->installed.dkms_version);
    nvl_finding_cause(
        f, "dkms builds the module for a new kernel only where that kernel's headers are installed; "
           "this package brings them with each kernel. Without it the GPU is gone after a kernel "
           "update");
    nvl_add_headers_install(&fix, &facts->system);
    nvl_finding_fix_lines(f, &fix);
}

static bool is_enabled(const struct nvl_root *root, const char *unit)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct stat st;

    nvl_root_list(root, "/etc/systemd/system", &names);
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *path = nvl_xasprintf("/etc/systemd/system/%s/%s", names.items[i], unit);
        bool holds_links =
            nvl_has_suffix(names.items[i], ".wants") || nvl_has_suffix(names.items[i], ".requires");
        if (holds_links && nvl_root_stat(root, path, AT_SYMLINK_NOFOLLOW, &st) == 0)
            return true;
    }
    return false;
}

/* The unit's file as systemd finds it; *text is NULL where there is none. The path, or NULL. */
static const char *find_unit(const struct nvl_root *root, char **text)
{
    static const char *const paths[] = {"/etc/systemd/system/" BOOT_UNIT, "/run/systemd/system/" BOOT_UNIT,
                                        "/usr/lib/systemd/system/" BOOT_UNIT,
                                        "/lib/systemd/system/" BOOT_UNIT};
    size_t len;

    *text = NULL;
    for (size_t i = 0; i < NVL_LENGTH(paths); i++)
        if (nvl_root_read(root, paths[i], UNIT_MAX, text, &len) == 0)
            return paths[i];
    return NULL;
}

static bool is_before(const char *unit, const char *guests)
{
    size_t pos = 0, line_len, len = strlen(unit);
    const char *line;

    while (nvl_next_line(unit, len, &pos, &line, &line_len))
        if (line_len > 7 && memcmp(line, "Before=", 7) == 0 &&
            memmem(line, line_len, guests, strlen(guests)) != NULL)
            return true;
    return false;
}

/* Containers that count on nodes at boot which no root hook makes for them. */
static char *waiting_names(const struct nvl_host_facts *facts)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    for (size_t i = 0; i < facts->n_users; i++)
        if (facts->users[i].needs_nodes_first && facts->users[i].starts_at_boot)
            nvl_strv_push(&names, facts->users[i].name);
    return names.count > 0 ? nvl_strv_join(&names, ", ") : NULL;
}

/* A unit of the user's own hides the package's. */
static void add_boot_fix(struct nvl_strv *fix, const char *path, bool is_ordered)
{
    if (path == NULL)
        nvl_strv_push(fix, "apt install --reinstall nvlxc");
    else if (!is_ordered)
        nvl_strv_push(fix, "systemctl revert " BOOT_UNIT);
    nvl_strv_push(fix, "systemctl enable " BOOT_UNIT);
}

static void check_boot_nodes(const struct nvl_check *check, const struct nvl_host_facts *facts,
                             struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    nvl_autofree char *waiting = waiting_names(facts), *text = NULL;
    const char *guests = facts->system.is_proxmox ? "pve-guests.service" : "lxc.service";

    if (waiting == NULL || facts->host.gpus.count == 0)
        return;
    const char *path = find_unit(facts->root, &text);
    bool enabled = is_enabled(facts->root, BOOT_UNIT), ordered = path != NULL && is_before(text, guests);
    if (enabled && ordered)
        return;
    struct nvl_finding *f = nvl_host_finding(
        findings, check, NVL_SEVERITY_WARNING,
        enabled && path != NULL ? "at boot the device nodes are made without regard to when containers start"
                                : "nothing makes the device nodes before containers start at boot");
    nvl_strv_pushf(&evidence, "start at boot and name nodes themselves: %s", waiting);
    if (!enabled)
        nvl_strv_push(&evidence, BOOT_UNIT " is not enabled: no link in /etc/systemd/system/*.wants");
    if (path == NULL)
        nvl_strv_push(&evidence, BOOT_UNIT " does not exist");
    else if (!ordered)
        nvl_strv_pushf(&evidence, "%s has no Before=%s", path, guests);
    nvl_finding_evidence_lines(f, &evidence);
    nvl_finding_cause(
        f, "a container with dev[n] does not start (\"Device /dev/nvidia-uvm does not exist\"), one "
           "with optional mounts starts without the GPU; loading the modules alone makes no node");
    add_boot_fix(&fix, path, ordered);
    nvl_finding_fix_lines(f, &fix);
}

static void check_hook(const struct nvl_check *check, const struct nvl_host_facts *facts,
                       struct nvl_findings *findings)
{
    nvl_autofree char *granted = nvl_granted_names(facts);

    if (granted == NULL || nvl_root_exists(facts->root, NVL_HOOK_PROGRAM))
        return;
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, "the start hook is not on this host");
    nvl_finding_evidence(f, "%s does not exist\ncontainers with a grant: %s", NVL_HOOK_PROGRAM, granted);
    nvl_finding_cause(f,
                      "the package nvlxc was removed, or the containers came from another node: they start, "
                      "but without a GPU");
    nvl_finding_fix(f, "apt install --reinstall nvlxc");
}

/* pmxcfs takes the owner's write permission away from this link where the cluster has no quorum. */
static void check_quorum(const struct nvl_check *check, const struct nvl_host_facts *facts,
                         struct nvl_findings *findings)
{
    struct stat st;

    if (!facts->system.is_proxmox ||
        nvl_root_stat(facts->root, "/etc/pve/local", AT_SYMLINK_NOFOLLOW, &st) < 0 ||
        (st.st_mode & 0200) != 0)
        return;
    struct nvl_finding *f =
        nvl_host_finding(findings, check, NVL_SEVERITY_ERROR, "the Proxmox cluster has no quorum");
    nvl_finding_evidence(f, "/etc/pve/local has mode %04o: /etc/pve is read-only", st.st_mode & 07777);
    nvl_finding_cause(f,
                      "this node does not see the majority of its cluster: no config can be changed, and no "
                      "container started");
    nvl_finding_fix(f, "pvecm status\npvecm expected 1   # only where the other nodes are really off");
}

static void check_cgroups(const struct nvl_check *check, const struct nvl_host_facts *facts,
                          struct nvl_findings *findings)
{
    nvl_autofree char *text = NULL;
    size_t len, pos = 0, line_len;
    const char *line;

    if (nvl_root_read(facts->root, MOUNTS_FILE, MOUNTS_MAX, &text, &len) < 0)
        return;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        nvl_auto(nvl_strv_clear) struct nvl_strv fields = {0}, options = {0};
        nvl_strv_split(&fields, copy, " ");
        if (fields.count < 4 || strcmp(fields.items[2], "cgroup") != 0)
            continue;
        nvl_strv_split(&options, fields.items[3], ",");
        if (!nvl_strv_contains(&options, "devices"))
            continue;
        struct nvl_finding *f = nvl_host_finding(findings, check, NVL_SEVERITY_WARNING,
                                                 "this host's device filter is cgroup v1's");
        nvl_finding_evidence(f, MOUNTS_FILE ": %s", copy);
        nvl_finding_cause(f,
                          "rules lxc.cgroup2.devices.* then do nothing, and those of cgroup v1 are in force: "
                          "a container whose own list denies the GPU cannot be given it");
        nvl_finding_fix(
            f,
            "take systemd.unified_cgroup_hierarchy=0 out of the kernel's command line "
            "(/etc/default/grub, on Proxmox VE with systemd-boot /etc/kernel/cmdline)\n%s\nreboot",
            facts->system.is_proxmox ? "proxmox-boot-tool refresh || update-grub" : "update-grub");
        return;
    }
}

const struct nvl_check nvl_checks_boot[] = {
    {"nouveau-blacklist", "Is nouveau kept out at the next boot?", "gpu-nouveau", check_nouveau, NULL},
    {"nova-blacklist", "Is nova_core kept out at the next boot?", "gpu-nova", check_nova, NULL},
    {"initramfs-old", "Does the initramfs know the blacklist?", "gpu-nouveau", check_initramfs, NULL},
    {"headers-not-kept", "Will the next kernel come with its headers?", "headers-missing", check_headers,
     NULL},
    {"hook-missing", "Is the start hook here?", NULL, check_hook, NULL},
    {"boot-nodes", "Will the nodes be there before containers start at boot?", NULL, check_boot_nodes, NULL},
    {"quorum-lost", "Has the cluster quorum?", NULL, check_quorum, NULL},
    {"cgroup-v1", "Is the host's device filter cgroup v2's?", NULL, check_cgroups, NULL},
    {0},
};
