/* The driver's place in a host: modprobe's lines, modules on disk, dkms, packages, firmware, services. */
#include "cli/capture_checks.h"

#include "driver/origin.h"
#include "host/modprobe.h"
#include "host/module.h"
#include "host/tree.h"

#define FILE_MAX_BYTES (1u << 20)
#define SWITCHES       "/proc/driver/nvidia-nvswitch/devices"
#define EFI_FOLDER     "/sys/firmware/efi"
#define SECURE_BOOT    EFI_FOLDER "/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

struct capture {
    const struct nvl_root *root;
    int dirfd;
    struct nvl_error *err;
    struct nvl_system system;
    struct nvl_installed_driver driver;
};

static int write_text(const struct capture *c, const char *path, const struct nvl_buf *b)
{
    return b->len > 0 ? nvl_tree_file(c->dirfd, path, b->data, b->len, c->err) : 0;
}

static int write_empty(const struct capture *c, const char *path)
{
    return nvl_tree_file(c->dirfd, path, "", 0, c->err);
}

static bool names_any(const char *line, size_t len, const char *const words[])
{
    for (size_t i = 0; words[i] != NULL; i++)
        if (memmem(line, len, words[i], strlen(words[i])) != NULL)
            return true;
    return false;
}

/* Those lines of a file that hold one of the words. */
static int copy_lines(const struct capture *c, const char *path, const char *const words[])
{
    nvl_auto(nvl_buf_clear) struct nvl_buf b = {0};
    nvl_autofree char *text = NULL;
    size_t len, pos = 0, line_len;
    const char *line;

    if (nvl_root_read(c->root, path, FILE_MAX_BYTES, &text, &len) < 0)
        return 0;
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        if (names_any(line, line_len, words))
            nvl_buf_addf(&b, "%.*s\n", (int)line_len, line);
    return write_text(c, path, &b);
}

static int copy_modprobe(const struct capture *c)
{
    static const char *const words[] = {"nvidia",   "nouveau",  "nova_core", "nova_drm",
                                        "vfio-pci", "vfio_pci", NULL};
    int r = 0;

    for (size_t i = 0; r == 0 && nvl_modprobe_folders[i] != NULL; i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        nvl_root_list(c->root, nvl_modprobe_folders[i], &names);
        for (size_t n = 0; r == 0 && n < names.count; n++) {
            nvl_autofree char *path = nvl_xasprintf("%s/%s", nvl_modprobe_folders[i], names.items[n]);
            r = copy_lines(c, path, words);
        }
    }
    return r;
}

/* The command line names disks and may name secrets: only the words that keep modules out. */
static int copy_command_line(const struct capture *c)
{
    static const char *const words[] = {"nouveau", "nova_core", "nvidia", "cgroup", NULL};
    nvl_auto(nvl_buf_clear) struct nvl_buf b = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv said = {0};
    nvl_autofree char *text = NULL;
    size_t len;

    if (nvl_root_read(c->root, "/proc/cmdline", FILE_MAX_BYTES, &text, &len) < 0)
        return 0;
    nvl_strv_split(&said, text, " \n");
    for (size_t i = 0; i < said.count; i++)
        if (names_any(said.items[i], strlen(said.items[i]), words))
            nvl_buf_addf(&b, "%s%s", b.len > 0 ? " " : "", said.items[i]);
    return write_text(c, "/proc/cmdline", &b);
}

static int copy_names(const struct capture *c, const char *folder)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    int r = 0;

    nvl_root_list(c->root, folder, &names);
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", folder, names.items[i]);
        r = write_empty(c, path);
    }
    return r;
}

static int copy_firmware(const struct capture *c)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv versions = {0};
    int r = 0;

    nvl_root_list(c->root, "/lib/firmware/nvidia", &versions);
    for (size_t i = 0; r == 0 && i < versions.count; i++) {
        nvl_autofree char *folder = nvl_xasprintf("/lib/firmware/nvidia/%s", versions.items[i]);
        if (nvl_is_version(versions.items[i], strlen(versions.items[i])))
            r = copy_names(c, folder);
    }
    return r;
}

/* Where the kernel's modules are known at all, that the other drivers' are not there says something too. */
static int copy_modules(const struct capture *c)
{
    static const char *const folders[] = {"build", "kernel/drivers", "kernel/drivers/gpu/drm/nouveau",
                                          "kernel/drivers/gpu/nova-core"};
    int r = c->driver.module != NULL ? write_empty(c, c->driver.module) : 0;

    for (size_t i = 0; r == 0 && c->system.kernel != NULL && i < NVL_LENGTH(folders); i++) {
        nvl_autofree char *path = nvl_xasprintf("/lib/modules/%s/%s", c->system.kernel, folders[i]);
        if (nvl_root_exists(c->root, path))
            r = nvl_tree_directory(c->dirfd, path, c->err);
    }
    return r;
}

static int copy_dkms(const struct capture *c)
{
    const struct nvl_installed_driver *d = &c->driver;
    nvl_auto(nvl_buf_clear) struct nvl_buf log = {0};

    if (d->dkms_name == NULL)
        return 0;
    nvl_autofree char *folder = nvl_xasprintf("/var/lib/dkms/%s/%s", d->dkms_name, d->dkms_version);
    int r = nvl_tree_directory(c->dirfd, folder, c->err);
    if (r < 0 || d->build_log == NULL)
        return r;
    nvl_buf_addf(&log, "DKMS make.log for kernel %s\n%s\n", c->system.kernel,
                 d->build_error != NULL ? d->build_error : "");
    return write_text(c, d->build_log, &log);
}

static int copy_packages(const struct capture *c)
{
    nvl_autofree char *meta = nvl_headers_meta_package(&c->system);
    const char *const packages[] = {"dkms",
                                    "lxc",
                                    "lxc-pve",
                                    c->driver.package != NULL ? c->driver.package : "dkms",
                                    meta != NULL ? meta : "dkms",
                                    "pve-container",
                                    "pve-manager"};
    nvl_auto(nvl_strv_clear) struct nvl_strv done = {0};
    nvl_auto(nvl_buf_clear) struct nvl_buf b = {0};

    for (size_t i = 0; i < NVL_LENGTH(packages); i++) {
        nvl_autofree char *version = nvl_package_version(c->root, packages[i]);
        if (version == NULL || nvl_strv_contains(&done, packages[i]))
            continue;
        nvl_strv_push(&done, packages[i]);
        nvl_buf_addf(&b, "Package: %s\nStatus: install ok installed\nVersion: %s\n\n", packages[i], version);
    }
    return write_text(c, "/var/lib/dpkg/status", &b);
}

/* A process is its name, under a number of our own. */
static int copy_services(const struct capture *c)
{
    static const struct {
        const char *name, *comm, *path;
    } services[] = {{"nvidia-persistenced", "nvidia-persiste\n", "/proc/611/comm"},
                    {"nv-fabricmanager", "nv-fabricmanage\n", "/proc/612/comm"}};
    int r = 0;

    for (size_t i = 0; r == 0 && i < NVL_LENGTH(services); i++)
        if (nvl_program_runs(c->root, services[i].name))
            r = nvl_tree_file(c->dirfd, services[i].path, services[i].comm, strlen(services[i].comm), c->err);
    return r;
}

static int copy_firmware_settings(const struct capture *c)
{
    nvl_autofree char *value = NULL;
    size_t len;

    if (!nvl_root_exists(c->root, EFI_FOLDER))
        return 0;
    int r = nvl_tree_directory(c->dirfd, EFI_FOLDER, c->err);
    if (r == 0 && nvl_root_read(c->root, SECURE_BOOT, FILE_MAX_BYTES, &value, &len) == 0)
        r = nvl_tree_file(c->dirfd, SECURE_BOOT, value, len, c->err);
    return r;
}

static int copy_all(const struct capture *c)
{
    static int (*const parts[])(const struct capture *) = {
        copy_modprobe, copy_command_line, copy_firmware, copy_modules,
        copy_dkms,     copy_packages,     copy_services, copy_firmware_settings,
    };
    static const char *const cgroup[] = {"cgroup", NULL};
    int r = copy_lines(c, "/proc/mounts", cgroup);

    for (size_t i = 0; r == 0 && i < NVL_LENGTH(parts); i++)
        r = parts[i](c);
    if (r == 0)
        r = copy_names(c, SWITCHES);
    if (r == 0 && nvl_root_exists(c->root, NVL_MODPROBE_PROGRAM))
        r = write_empty(c, NVL_MODPROBE_PROGRAM);
    return r;
}

int nvl_capture_checks(const struct nvl_root *root, int dirfd, struct nvl_error *err)
{
    struct capture c = {.root = root, .dirfd = dirfd, .err = err};
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};

    int r = nvl_userspace_read(root, &us, err);
    if (r == 0)
        r = nvl_system_read(root, &c.system, err);
    if (r == 0) {
        nvl_installed_driver_read(root, &c.system, &us, NULL, &c.driver);
        r = copy_all(&c);
    }
    nvl_installed_driver_clear(&c.driver);
    nvl_system_clear(&c.system);
    return r;
}
