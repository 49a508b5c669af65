/* The machine around the driver: distribution, kernel, Proxmox, boot, and the packages that dpkg knows. */
#include "host/system.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <strings.h>
#include <stdio.h>
#include <sys/vfs.h>

#include "base/root.h"

#define DPKG_STATUS     "/var/lib/dpkg/status"
#define DPKG_STATUS_MAX (64u << 20)
#define DPKG_INFO       "/var/lib/dpkg/info"
#define SMALL_FILE_MAX  (64u << 10)
/* The name and GUID come from the UEFI specification; efivarfs puts 4 bytes of attributes before the
 * value. */
#define EFI_FOLDER      "/sys/firmware/efi"
#define SECURE_BOOT     EFI_FOLDER "/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
#define DEBIAN_TO_PVE   4 /* Proxmox VE 8 is built on Debian 12, 9 on 13 */
#define PVE_OLDEST_BASE 10
#define PVE_DIR         "/etc/pve"
#define PVE_CLUSTER     "pve-cluster" /* the package of pmxcfs */
#define COMM_LENGTH     15            /* TASK_COMM_LEN of the kernel, without the NUL */

/* The value of KEY=VALUE or KEY="VALUE". */
static char *assigned(const char *text, size_t len, const char *key)
{
    size_t pos = 0, line_len, key_len = strlen(key);
    const char *line;

    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        if (line_len <= key_len || memcmp(line, key, key_len) != 0 || line[key_len] != '=')
            continue;
        const char *value = line + key_len + 1;
        size_t value_len = line_len - key_len - 1;
        if (value_len >= 2 && (*value == '"' || *value == '\'') && value[value_len - 1] == *value) {
            value++;
            value_len -= 2;
        }
        return value_len > 0 ? nvl_xstrndup(value, value_len) : NULL;
    }
    return NULL;
}

static void read_release(const struct nvl_root *root, struct nvl_system *s)
{
    nvl_autofree char *text = NULL;
    size_t len;

    if (nvl_root_read(root, "/etc/os-release", SMALL_FILE_MAX, &text, &len) < 0 &&
        nvl_root_read(root, "/usr/lib/os-release", SMALL_FILE_MAX, &text, &len) < 0)
        return;
    s->id = assigned(text, len, "ID");
    s->like = assigned(text, len, "ID_LIKE");
    s->version_id = assigned(text, len, "VERSION_ID");
    s->codename = assigned(text, len, "VERSION_CODENAME");
}

static void read_kernel(const struct nvl_root *root, struct nvl_system *s)
{
    nvl_autofree char *text = NULL;
    size_t len;

    if (nvl_root_read(root, "/proc/sys/kernel/osrelease", SMALL_FILE_MAX, &text, &len) < 0)
        return;
    len = strcspn(text, "\n");
    if (len > 0 && memchr(text, '/', len) == NULL) /* it becomes a part of paths */
        s->kernel = nvl_xstrndup(text, len);
}

static int leading_number(const char *text)
{
    size_t len = text != NULL ? strspn(text, "0123456789") : 0;
    nvl_autofree char *digits = nvl_xstrndup(text != NULL ? text : "", len);
    uint64_t number;

    return nvl_parse_uint(digits, 10, 999, &number) == 0 ? (int)number : -1;
}

/* By dpkg's status where its list is there, too: a package that left configuration files has a list. */
static bool is_there(const struct nvl_root *root, const char *package)
{
    nvl_autofree char *version =
        nvl_package_is_installed(root, package) ? nvl_package_version(root, package) : NULL;

    return version != NULL;
}

static enum nvl_pmxcfs say_gone(char **why, char *text)
{
    nvl_autofree char *unused = text;

    if (why != NULL)
        *why = TAKE_PTR(unused);
    return NVL_CLUSTER_GONE;
}

/* pmxcfs is a FUSE file system: where it is mounted and its process is gone, every question about it fails;
 * where it was stopped, the empty folder of the package is left, or what somebody wrote there since. */
enum nvl_pmxcfs nvl_cluster_state(const struct nvl_root *root, char **why)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct statfs fs = {0};
    nvl_autofd int fd = nvl_root_openat(root, PVE_DIR, O_PATH | O_DIRECTORY);

    if (fd == -ENOENT)
        return !is_there(root, PVE_CLUSTER) ? NVL_CLUSTER_NONE
                                            : say_gone(why, nvl_xstrdup(PVE_DIR " does not exist"));
    int r = fd < 0 ? fd : fstatfs(fd, &fs) < 0 ? nvl_root_note(root, PVE_DIR, -errno) : 0;
    if (r == 0 && fs.f_type == FUSE_SUPER_MAGIC)
        return NVL_CLUSTER_LIVE;
    if (r == 0)
        r = nvl_root_list(root, PVE_DIR, &names);
    if (r == -EACCES || r == -EPERM)
        return NVL_CLUSTER_LIVE;
    if (r < 0)
        return say_gone(why, nvl_xasprintf(PVE_DIR ": %s", strerror(-r)));
    if (names.count == 0 && (is_there(root, PVE_CLUSTER) || is_there(root, "pve-container")))
        return say_gone(why, nvl_xstrdup(PVE_DIR " is an empty folder"));
    if (names.count > 0 && nvl_root_is_machine(root) && is_there(root, PVE_CLUSTER))
        return say_gone(why,
                        nvl_xasprintf(PVE_DIR " is a folder of this disk (%s), not pmxcfs", names.items[0]));
    return NVL_CLUSTER_LIVE;
}

int nvl_cluster_check(const struct nvl_root *root, struct nvl_error *err)
{
    nvl_autofree char *why = NULL;

    if (nvl_cluster_state(root, &why) != NVL_CLUSTER_GONE)
        return 0;
    nvl_error_host(err, -ENOTCONN,
                   "Proxmox's cluster file system is not mounted (%s): no container's config can be read or "
                   "written",
                   why);
    nvl_error_hint(err, "systemctl restart pve-cluster   # then run the command again");
    return -ENOTCONN;
}

static void read_proxmox(const struct nvl_root *root, struct nvl_system *s)
{
    s->is_proxmox = nvl_cluster_state(root, NULL) != NVL_CLUSTER_NONE;
    if (!s->is_proxmox)
        return;
    int base = leading_number(s->version_id);
    if (base >= PVE_OLDEST_BASE) {
        s->pve_major = base - DEBIAN_TO_PVE;
        return;
    }
    nvl_autofree char *version = nvl_package_version(root, "pve-manager");
    s->pve_major = leading_number(version);
}

static enum nvl_secure_boot read_secure_boot(const struct nvl_root *root)
{
    nvl_autofree char *value = NULL;
    size_t len;

    if (!nvl_root_exists(root, EFI_FOLDER))
        return NVL_SECURE_BOOT_OFF;
    if (nvl_root_read(root, SECURE_BOOT, SMALL_FILE_MAX, &value, &len) < 0 || len != 5)
        return NVL_SECURE_BOOT_UNKNOWN;
    return value[4] == 1 ? NVL_SECURE_BOOT_ON : NVL_SECURE_BOOT_OFF;
}

int nvl_system_read(const struct nvl_root *root, struct nvl_system *s, struct nvl_error *err)
{
    (void)err; /* what is missing is unknown, not an error */
    *s = (struct nvl_system){.pve_major = -1};
    read_release(root, s);
    read_kernel(root, s);
    read_proxmox(root, s);
    s->has_systemd = nvl_root_exists(root, "/run/systemd/system");
    s->secure_boot = read_secure_boot(root);
    return 0;
}

void nvl_system_clear(struct nvl_system *s)
{
    free(s->id);
    free(s->like);
    free(s->version_id);
    free(s->codename);
    free(s->kernel);
    *s = (struct nvl_system){.pve_major = -1};
}

enum nvl_family nvl_family_of(const struct nvl_system *system)
{
    static const struct {
        const char *id;
        enum nvl_family family;
    } known[] = {
        {"debian", NVL_FAMILY_DEBIAN},
        {"ubuntu", NVL_FAMILY_UBUNTU},
        {"fedora", NVL_FAMILY_FEDORA},
        {"rhel", NVL_FAMILY_RHEL},
        {"centos", NVL_FAMILY_RHEL},
        {"suse", NVL_FAMILY_SUSE},
        {"opensuse", NVL_FAMILY_SUSE},
        {"opensuse-leap", NVL_FAMILY_SUSE},
        {"opensuse-tumbleweed", NVL_FAMILY_SUSE},
        {"arch", NVL_FAMILY_ARCH},
        {"gentoo", NVL_FAMILY_GENTOO},
        {"nixos", NVL_FAMILY_NIXOS},
    };
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    if (system->is_proxmox)
        return NVL_FAMILY_DEBIAN;
    /* the ID, else the first known word of ID_LIKE: the nearest relative comes first */
    nvl_strv_split(&words, system->id != NULL ? system->id : "", " ");
    nvl_strv_split(&words, system->like != NULL ? system->like : "", " ");
    for (size_t w = 0; w < words.count; w++)
        for (size_t i = 0; i < NVL_LENGTH(known); i++)
            if (strcmp(words.items[w], known[i].id) == 0)
                return known[i].family;
    return NVL_FAMILY_OTHER;
}

static bool is_proxmox_kernel(const struct nvl_system *s)
{
    return nvl_has_suffix(s->kernel, "-pve");
}

static bool is_debian_kernel(const struct nvl_system *s)
{
    return s->id != NULL && strcmp(s->id, "debian") == 0;
}

/* The prefix of their names, which changed with Proxmox VE 8. */
static const char *proxmox_prefix(const struct nvl_system *s)
{
    return s->pve_major >= 0 && s->pve_major < 8 ? "pve" : "proxmox";
}

char *nvl_headers_package(const struct nvl_system *s)
{
    if (s->kernel == NULL)
        return NULL;
    if (is_proxmox_kernel(s))
        return nvl_xasprintf("%s-headers-%s", proxmox_prefix(s), s->kernel);
    return is_debian_kernel(s) ? nvl_xasprintf("linux-headers-%s", s->kernel) : NULL;
}

/* "amd64" of "6.12.107+deb13-amd64", "cloud-amd64" of "6.1.0-40-cloud-amd64". */
static const char *kernel_flavour(const char *kernel)
{
    for (const char *dash = strchr(kernel, '-'); dash != NULL; dash = strchr(dash + 1, '-'))
        if (dash[1] >= 'a' && dash[1] <= 'z')
            return dash + 1;
    return NULL;
}

char *nvl_headers_meta_package(const struct nvl_system *s)
{
    if (s->kernel == NULL)
        return NULL;
    if (is_proxmox_kernel(s))
        return strcmp(proxmox_prefix(s), "pve") == 0 ? nvl_xstrdup("pve-headers")
                                                     : nvl_xstrdup("proxmox-default-headers");
    const char *flavour = kernel_flavour(s->kernel);
    return is_debian_kernel(s) && flavour != NULL ? nvl_xasprintf("linux-headers-%s", flavour) : NULL;
}

/* "Key: value" lines up to a blank one (deb822(5)); Status precedes the other requested fields. */
static char *field_in(const char *paragraph, size_t len, const char *field)
{
    size_t pos = 0, line_len, value_len;
    const char *line, *value;
    bool is_installed = false;

    while (nvl_next_line(paragraph, len, &pos, &line, &line_len) && line_len > 0) {
        if (nvl_line_value(line, line_len, "Status", &value, &value_len))
            is_installed = value_len > 10 && memcmp(value + value_len - 10, " installed", 10) == 0;
        else if (is_installed && nvl_line_value(line, line_len, field, &value, &value_len))
            return nvl_xstrndup(value, value_len);
    }
    return NULL;
}

/* Debian's tools begin a paragraph with the name; a package of two architectures has two. */
static char *find_field(const char *text, size_t len, const char *package, const char *field)
{
    nvl_autofree char *first = nvl_xasprintf("Package: %s\n", package);
    char *value = NULL;

    for (const char *at = text, *end = text + len;
         value == NULL && (at = memmem(at, (size_t)(end - at), first, strlen(first))) != NULL; at++)
        if (at == text || at[-1] == '\n')
            value = field_in(at, (size_t)(end - at), field);
    return value;
}

/* dpkg has a list of files for each installed package, so that its long status needs to be read for few. If
 * the folder is missing (a captured host), only the status can tell. */
enum listed { NOT_LISTED, LISTED, NO_LISTS };

static enum listed is_listed(const struct nvl_root *root, const char *package)
{
    static const char *const ends[] = {".list", ":amd64.list", ":arm64.list"};

    for (size_t i = 0; i < NVL_LENGTH(ends); i++) {
        nvl_autofree char *path = nvl_xasprintf(DPKG_INFO "/%s%s", package, ends[i]);
        if (nvl_root_exists(root, path))
            return LISTED;
    }
    return nvl_root_exists(root, DPKG_INFO) ? NOT_LISTED : NO_LISTS;
}

bool nvl_package_is_installed(const struct nvl_root *root, const char *package)
{
    enum listed listed = is_listed(root, package);

    if (listed != NO_LISTS)
        return listed == LISTED;
    nvl_autofree char *version = nvl_package_version(root, package);
    return version != NULL;
}

char *nvl_package_version_of(const struct nvl_root *root, const char *const *packages, size_t n_packages,
                             size_t *which)
{
    nvl_autofree char *text = NULL;
    char *version = NULL;
    size_t len;

    if (nvl_root_read(root, DPKG_STATUS, DPKG_STATUS_MAX, &text, &len) < 0)
        return NULL;
    for (size_t i = 0; i < n_packages && version == NULL; i++) {
        version = find_field(text, len, packages[i], "Version");
        *which = i;
    }
    return version;
}

char *nvl_package_version(const struct nvl_root *root, const char *package)
{
    size_t which;

    return nvl_package_version_of(root, &package, 1, &which);
}

char *nvl_package_maintainer(const struct nvl_root *root, const char *package)
{
    nvl_autofree char *text = NULL;
    size_t len;

    return nvl_root_read(root, DPKG_STATUS, DPKG_STATUS_MAX, &text, &len) == 0
               ? find_field(text, len, package, "Maintainer")
               : NULL;
}

static bool is_program(const struct nvl_root *root, const char *pid, const char *name)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%s/comm", pid);
    char comm[COMM_LENGTH + 2]; /* and its newline */

    return nvl_root_read_attribute(root, path, comm, sizeof comm) == 0 && comm[0] != '\0' &&
           strncmp(comm, name, COMM_LENGTH) == 0;
}

bool nvl_pid_file_holds(const struct nvl_root *root, const char *pid_file, const char *name)
{
    nvl_autofree char *text = NULL;
    uint64_t pid;
    size_t len;

    if (nvl_root_read(root, pid_file, SMALL_FILE_MAX, &text, &len) < 0)
        return false;
    text[strcspn(text, "\n")] = '\0';
    return nvl_parse_uint(text, 10, INT32_MAX, &pid) == 0 && is_program(root, text, name);
}

bool nvl_program_runs(const struct nvl_root *root, const char *name)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_root_list(root, "/proc", &names);
    for (size_t i = 0; i < names.count; i++)
        if (names.items[i][0] >= '0' && names.items[i][0] <= '9' && is_program(root, names.items[i], name))
            return true;
    return false;
}

/* Source: resolv.conf(5). Addresses of this machine, and of one link alone, mean nothing elsewhere. */
static char *read_nameserver(const struct nvl_root *root, const char *path)
{
    nvl_autofree char *text = NULL;
    size_t len, pos = 0, line_len;
    const char *line;

    if (nvl_root_read(root, path, SMALL_FILE_MAX, &text, &len) < 0)
        return NULL;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        char address[64];
        if (sscanf(copy, "nameserver %63[0-9a-fA-F.:]", address) == 1 && !nvl_has_prefix(address, "127.") &&
            strcmp(address, "::1") != 0 && strncasecmp(address, "fe80:", 5) != 0)
            return nvl_xstrdup(address);
    }
    return NULL;
}

char *nvl_nameserver(const struct nvl_root *root)
{
    char *address = read_nameserver(root, "/etc/resolv.conf");

    return address != NULL ? address : read_nameserver(root, "/run/systemd/resolve/resolv.conf");
}
