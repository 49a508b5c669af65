/* nvlxc capture: the facts of this host as a tar file, for a bug report or as a fixture host. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/paths.h"
#include "base/run.h"
#include "bundle/manifest.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "driver/origin.h"
#include "host/capture.h"
#include "host/modprobe.h"
#include "host/module.h"
#include "host/tree.h"
#include "host/userspace.h"
#include "host/virtual_machines.h"

#define FILE_MAX_BYTES  (1u << 20)
#define SWITCHES        "/proc/driver/nvidia-nvswitch/devices"
#define EFI_FOLDER      "/sys/firmware/efi"
#define SECURE_BOOT     EFI_FOLDER "/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
#define BUNDLE_FILE_MAX (4u << 20)

/* What the host's checks read beyond the readers of the host room: the driver's place in a host. Files with
 * more content (modprobe's configuration, the kernel's command line, dpkg's status) are reduced to what is
 * about the driver. */
struct driver_place {
    const struct nvl_root *root;
    int dirfd;
    struct nvl_error *err;
    struct nvl_system system;
    struct nvl_installed_driver driver;
};

static int write_lines(const struct driver_place *c, const char *path, const struct nvl_buf *b)
{
    return b->len > 0 ? nvl_tree_file(c->dirfd, path, b->data, b->len, c->err) : 0;
}

static int write_empty(const struct driver_place *c, const char *path)
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

/* The lines of a file that contain one of the words. */
static int copy_lines(const struct driver_place *c, const char *path, const char *const words[])
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
    return write_lines(c, path, &b);
}

static int copy_modprobe(const struct driver_place *c)
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

/* The command line names disks and may hold secrets: capture only the words that keep modules out. */
static int copy_command_line(const struct driver_place *c)
{
    static const char *const words[] = {"nouveau", "nova_core", "nvidia", "vfio", "cgroup", NULL};
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
    return write_lines(c, "/proc/cmdline", &b);
}

static int copy_names(const struct driver_place *c, const char *folder)
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

static int copy_firmware(const struct driver_place *c)
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

/* If the kernel's modules are known at all, the absence of the other drivers' modules is information too. */
static int copy_modules(const struct driver_place *c)
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

static int copy_dkms(const struct driver_place *c)
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
    return write_lines(c, d->build_log, &log);
}

static int copy_packages(const struct driver_place *c)
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
        /* whose the driver's package is its maintainer says: two archives have it by one name */
        nvl_autofree char *maker =
            packages[i] == c->driver.package ? nvl_package_maintainer(c->root, packages[i]) : NULL;
        nvl_buf_addf(&b, "Package: %s\nStatus: install ok installed\n%s%s%sVersion: %s\n\n", packages[i],
                     maker != NULL ? "Maintainer: " : "", maker != NULL ? maker : "",
                     maker != NULL ? "\n" : "", version);
    }
    return write_lines(c, "/var/lib/dpkg/status", &b);
}

/* The files that NVIDIA's installer leaves show that the driver came from it. */
static int copy_installer(const struct driver_place *c)
{
    int r = 0;

    for (size_t i = 0; r == 0 && nvl_installer_marks[i] != NULL; i++)
        if (nvl_root_exists(c->root, nvl_installer_marks[i]))
            r = write_empty(c, nvl_installer_marks[i]);
    return r;
}

/* Captures a process as its name, under a made-up number. */
static int copy_services(const struct driver_place *c)
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

static int copy_firmware_settings(const struct driver_place *c)
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

/* Captures of a VM its number and its PCI devices, with mappings resolved. */
static int copy_machines(const struct driver_place *c)
{
    nvl_auto(nvl_vm_devices_clear) struct nvl_vm_devices vms = {0};
    nvl_auto(nvl_buf_clear) struct nvl_buf b = {0};
    int r = 0;

    nvl_vm_devices_read(c->root, &vms);
    for (size_t i = 0; r == 0 && i < vms.count; i++) {
        const struct nvl_vm_device *d = &vms.items[i];
        nvl_buf_addf(&b, "hostpci%zu: %s\n", i, d->address);
        if (i + 1 < vms.count && strcmp(vms.items[i + 1].vm, d->vm) == 0)
            continue;
        nvl_autofree char *path = nvl_xasprintf("/etc/pve/qemu-server/%s.conf", d->vm);
        nvl_buf_addf(&b, "onboot: %d\n", (int)d->starts_at_boot);
        r = write_lines(c, path, &b);
        nvl_buf_clear(&b);
    }
    return r;
}

static int copy_rules(const struct driver_place *c)
{
    static const char *const words[] = {"driver_override", NULL};
    static const char folder[] = "/etc/udev/rules.d";
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    int r = 0;

    nvl_root_list(c->root, folder, &names);
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", folder, names.items[i]);
        r = copy_lines(c, path, words);
    }
    return r;
}

static int copy_parts(const struct driver_place *c)
{
    static int (*const parts[])(const struct driver_place *) = {
        copy_modprobe,  copy_command_line, copy_firmware,          copy_modules,  copy_dkms,  copy_packages,
        copy_installer, copy_services,     copy_firmware_settings, copy_machines, copy_rules,
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

static int copy_driver_place(const struct nvl_root *root, int dirfd, struct nvl_error *err)
{
    struct driver_place c = {.root = root, .dirfd = dirfd, .err = err};
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};

    int r = nvl_userspace_read(root, &us, err);
    if (r == 0)
        r = nvl_system_read(root, &c.system, err);
    if (r == 0) {
        nvl_installed_driver_read(root, &c.system, &us, NULL, &c.driver);
        r = copy_parts(&c);
    }
    nvl_installed_driver_clear(&c.driver);
    nvl_system_clear(&c.system);
    return r;
}

/* ---- the tree that becomes the archive ---- */

#define TREE_PREFIX "nvlxc-capture."

/* A folder of its own in the folder for temporary files; a lock on it says that it is in use. */
struct capture_tree {
    char *above, *path;
    int fd;
};

static void remove_tree(struct capture_tree *tree)
{
    if (tree->path != NULL)
        nvl_folder_remove(AT_FDCWD, tree->path);
    if (tree->fd >= 0)
        close(tree->fd);
    free(tree->path);
    free(tree->above);
}

/* One that a killed capture of this user left. */
static void sweep_tree(void *data, const char *name)
{
    const int *above = data;
    struct stat st;

    if (!nvl_has_prefix(name, TREE_PREFIX))
        return;
    nvl_autofd int fd = openat(*above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0)
        nvl_folder_remove(*above, name);
}

static void sweep_trees(const char *folder)
{
    nvl_autofd int above = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct nvl_root root = nvl_root_borrow(above);

    if (above >= 0)
        nvl_root_each(&root, "/", sweep_tree, &above);
}

static int make_tree(struct capture_tree *tree, struct nvl_error *err)
{
    const char *tmp = getenv("TMPDIR");

    tree->above = nvl_xstrdup(tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    sweep_trees(tree->above);
    nvl_autofree char *path = nvl_xasprintf("%s/" TREE_PREFIX "XXXXXX", tree->above);
    if (mkdtemp(path) == NULL)
        return nvl_error_errno(err, -errno, "cannot make a temporary folder %s", path);
    tree->path = TAKE_PTR(path);
    tree->fd = open(tree->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (tree->fd < 0 || flock(tree->fd, LOCK_EX | LOCK_NB) < 0)
        return nvl_error_errno(err, -errno, "cannot open %s", tree->path);
    return 0;
}

static bool is_compressed(const char *file)
{
    return nvl_has_suffix(file, ".gz") || nvl_has_suffix(file, ".tgz");
}

/* Writes a tar of everything in `dir` to the descriptor `out`. */
static int run_tar(const char *dir, bool compress, int out, struct nvl_error *err)
{
    /* sparse: the files of bundles are holes; numeric owners: the archive must not name the user who captures
     */
    const char *const argv[] = {"tar",
                                "-C",
                                dir,
                                "--sparse",
                                "--owner=0",
                                "--group=0",
                                "--numeric-owner",
                                "--sort=name",
                                compress ? "-czf" : "-cf",
                                "-",
                                ".",
                                NULL};
    const struct nvl_run run = {
        .argv = argv, .output = NVL_STREAM_FD, .errors = NVL_STREAM_CALLERS, .output_fd = out};

    int status = nvl_run_status(&run);
    if (status == -ENOENT) {
        nvl_error_host(err, -ENOENT, "tar is not installed");
        nvl_error_hint(err, "apt install tar");
        return -ENOENT;
    }
    if (status < 0)
        return nvl_error_errno(err, status, "cannot start tar");
    return status == 0 ? 0 : nvl_error_set(err, -EIO, "tar failed to write the file");
}

static int refuse_existing(const char *file, struct nvl_error *err)
{
    nvl_error_set(err, -EEXIST, "%s already exists", file);
    nvl_error_hint(err, "name another file, or remove it first");
    return -EEXIST;
}

/* Without a name until it is complete, where the file system can do that. */
static int create(const char *file, bool *has_name, struct nvl_error *err)
{
    const char *slash = strrchr(file, '/');
    nvl_autofree char *folder =
        slash != NULL ? nvl_xstrndup(file, (size_t)(slash - file) + 1) : nvl_xstrdup(".");
    int fd = open(folder, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0644);

    *has_name = fd < 0;
    if (fd < 0)
        fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd >= 0)
        return fd;
    return errno == EEXIST ? refuse_existing(file, err)
                           : nvl_error_errno(err, -errno, "cannot create %s", file);
}

static int give_name(int fd, const char *file, struct nvl_error *err)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/self/fd/%d", fd);

    if (linkat(AT_FDCWD, path, AT_FDCWD, file, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    return errno == EEXIST ? refuse_existing(file, err)
                           : nvl_error_errno(err, -errno, "cannot create %s", file);
}

/* A bundle's file is captured by its size only: a hole. */
static int add_hole(const struct nvl_root *root, int dirfd, const char *path, struct nvl_error *err)
{
    struct stat st;

    if (nvl_root_stat(root, path, AT_SYMLINK_NOFOLLOW, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    int r = nvl_tree_file(dirfd, path, "", 0, err);
    nvl_autofd int fd = r == 0 ? openat(dirfd, path + 1, O_WRONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (r == 0 && (fd < 0 || ftruncate(fd, st.st_size) < 0))
        return nvl_error_errno(err, -errno, "cannot write %s", path);
    return r;
}

/* The shape of a bundle: the files that its manifest names and that exist. */
static int add_shape(const struct nvl_root *root, int dirfd, const char *version, struct nvl_error *err)
{
    nvl_auto(nvl_manifest_clear) struct nvl_manifest m = {0};
    int r = 0;

    if (nvl_manifest_read(root, version, &m) < 0)
        return 0;
    for (size_t i = 0; r >= 0 && i < m.n_files; i++) {
        nvl_autofree char *path = nvl_xasprintf(NVL_BUNDLE_DIR "/%s/%s", version, m.files[i].path);
        r = add_hole(root, dirfd, path, err);
    }
    for (size_t i = 0; r >= 0 && i < m.n_links; i++) {
        nvl_autofree char *path = nvl_xasprintf(NVL_BUNDLE_DIR "/%s/%s", version, m.links[i].path);
        nvl_autofree char *target = NULL;
        if (nvl_root_readlink(root, path, &target) == 0)
            r = nvl_tree_link(dirfd, path, target, err);
    }
    return r;
}

/* The files that describe a bundle; none of the driver's files. */
static int add_bundles(const struct nvl_root *root, int dirfd, struct nvl_error *err)
{
    static const char *const files[] = {"manifest.json", "sonames"};
    nvl_auto(nvl_strv_clear) struct nvl_strv versions = {0};
    int r = 0;

    if (nvl_root_list(root, NVL_BUNDLE_DIR, &versions) < 0)
        return 0;
    for (size_t i = 0; r >= 0 && i < versions.count * NVL_LENGTH(files); i++) {
        const char *version = versions.items[i / NVL_LENGTH(files)];
        nvl_autofree char *path =
            nvl_xasprintf(NVL_BUNDLE_DIR "/%s/%s", version, files[i % NVL_LENGTH(files)]);
        nvl_autofree char *text = NULL;
        size_t len;
        if (nvl_is_version(version, strlen(version)) &&
            nvl_root_read(root, path, BUNDLE_FILE_MAX, &text, &len) >= 0)
            r = nvl_tree_file(dirfd, path, text, len, err);
    }
    for (size_t i = 0; r >= 0 && i < versions.count; i++)
        if (nvl_is_version(versions.items[i], strlen(versions.items[i])))
            r = add_shape(root, dirfd, versions.items[i], err);
    return r;
}

/* nvl_capture takes what the readers of the host read; this adds what commands look at beyond that. */
static int capture(const struct nvl_root *root, const char *dir, struct nvl_error *err)
{
    nvl_autofd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return nvl_error_errno(err, -errno, "cannot open %s", dir);
    int r = nvl_capture(root, fd, err);
    if (r >= 0)
        r = copy_driver_place(root, fd, err);
    return r >= 0 ? add_bundles(root, fd, err) : r;
}

/* The file appears complete, or not at all. */
static int write_archive(const char *file, const char *dir, struct stat *st, struct nvl_error *err)
{
    bool has_name;
    nvl_autofd int fd = create(file, &has_name, err);

    if (fd < 0)
        return fd;
    int r = run_tar(dir, is_compressed(file), fd, err);
    if (r >= 0 && (fsync(fd) < 0 || fstat(fd, st) < 0))
        r = nvl_error_errno(err, -errno, "cannot write %s", file);
    if (r >= 0 && !has_name)
        r = give_name(fd, file, err);
    if (r < 0 && has_name)
        unlink(file);
    return r;
}

static int run_capture(struct nvl_context *ctx, const struct nvl_strv *arguments, void *values,
                       struct nvl_error *err)
{
    const char *file = arguments->items[0];
    nvl_auto(remove_tree) struct capture_tree tree = {.fd = -1};
    struct stat st;
    char size[16];

    (void)values;
    if (access(file, F_OK) == 0) /* fails before the work is done; create() decides */
        return refuse_existing(file, err);
    nvl_progress(ctx, "reads the host");
    int r = make_tree(&tree, err);
    if (r >= 0)
        r = capture(&ctx->root, tree.path, err);
    nvl_progress(ctx, "writes %s", file);
    if (r >= 0)
        r = write_archive(file, tree.path, &st, err);
    nvl_progress_end();
    if (r < 0)
        return r;
    if (ctx->json)
        return nvl_print_json(json_pack("{s:s,s:I}", "path", file, "bytes", (json_int_t)st.st_size));
    nvl_format_size((uint64_t)st.st_size, size, sizeof size);
    nvl_say_fact(ctx, "",
                 "%s (%s): what nvlxc reads of this host's GPUs, driver, device nodes and library names.",
                 file, size);
    nvl_say_fact(ctx, "",
                 "It contains the UUID of each GPU, but no serial number and no container's config.");
    nvl_say_fact(ctx, "", "To use it, unpack it into a folder: nvlxc --root FOLDER gpus");
    return NVL_EXIT_OK;
}

static const struct nvl_example capture_examples[] = {
    {"capture host.tgz", "the file that belongs to a bug report"},
    {"capture /tmp/host.tar", "the same, not compressed, to look through it before"},
    {"--root /tmp/host doctor", "what doctor says about a host that is unpacked there"},
    {0},
};

const struct nvl_command nvl_cmd_capture = {
    .name = "capture",
    .arguments = "FILE",
    .group = NVL_GROUP_PROGRAMS,
    .summary = "write this host's facts to a tar file for a bug report",
    .details = "The file holds what nvlxc reads of the host: the driver's files in /proc, the\n"
               "GPUs in sysfs, the names of device nodes, libraries, modules and firmware, and\n"
               "modprobe's lines about them. It contains the GPUs' UUIDs, but none of the\n"
               "driver's own files, no container's config and no serial number. If its name ends\n"
               "in .gz or .tgz, it is compressed. An existing FILE is not overwritten.\n"
               "\n"
               "Unpack it into a folder: `nvlxc --root FOLDER` shows that host on any machine.",
    .examples = capture_examples,
    .min_arguments = 1,
    .max_arguments = 1,
    .argument_values = "@files",
    .run = run_capture,
};
