/* Open device nodes, from /proc/PID/fd. An unmounted node stays open for programs that have it. */
#include "apply/open_files.h"

#include <ctype.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "apply/eject.h"
#include "base/root.h"
#include "host/gpu_nodes.h"

#define NESTED_MAX 32 /* pid namespaces, the kernel's limit */

static int open_pid_namespace(const char *pid)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%s/ns/pid", pid);

    return open(path, O_RDONLY | O_CLOEXEC); /* a kernel link: the root handle follows none */
}

static bool is_in_pid_namespace(const char *pid, const struct stat *wanted)
{
    struct stat st;
    nvl_autofd int fd = open_pid_namespace(pid);

    for (int i = 0; fd >= 0 && i < NESTED_MAX && fstat(fd, &st) == 0; i++) {
        if (st.st_ino == wanted->st_ino && st.st_dev == wanted->st_dev)
            return true;
        int above = ioctl(fd, NS_GET_PARENT);
        close(fd);
        fd = above;
    }
    return false;
}

static void read_program_name(const struct nvl_root *root, const char *pid, struct nvl_program *program)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%s/comm", pid), *text = NULL;
    size_t len = 0;

    if (nvl_root_read(root, path, 256, &text, &len) < 0)
        return;
    nvl_copy(program->name, sizeof program->name, text, strcspn(text, "\n"));
    for (char *p = program->name; *p != '\0'; p++)
        if (!isprint((unsigned char)*p))
            *p = '?';
}

/* The device that a descriptor refers to. It does not query the container's file systems: they may not
 * answer. */
static const struct nvl_device *find_open_device(const char *pid, const char *fd,
                                                 const struct nvl_device *devices, size_t n_devices)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%s/fd/%s", pid, fd);
    struct statx st;

    if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0 || !S_ISCHR(st.stx_mode))
        return NULL;
    for (size_t i = 0; i < n_devices; i++)
        if (st.stx_rdev_major == devices[i].major && st.stx_rdev_minor == devices[i].minor)
            return &devices[i];
    return NULL;
}

static void look_at_program(const struct nvl_root *root, const char *pid, const struct nvl_device *devices,
                            size_t n_devices, struct nvl_programs *programs)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv fds = {0}, found = {0};
    nvl_autofree char *path = nvl_xasprintf("/proc/%s/fd", pid);
    uint64_t number;

    if (nvl_root_list(root, path, &fds) < 0)
        return;
    for (size_t i = 0; i < fds.count; i++) {
        const struct nvl_device *device = find_open_device(pid, fds.items[i], devices, n_devices);
        if (device != NULL)
            nvl_strv_push_once(&found, device->path);
    }
    if (found.count == 0 || nvl_parse_uint(pid, 10, INT32_MAX, &number) < 0)
        return;
    struct nvl_program *program = NVL_APPEND(programs->items, programs->count);
    program->pid = (pid_t)number;
    read_program_name(root, pid, program);
    program->devices = found;
    found = (struct nvl_strv){0};
}

/* `wanted`: a pid namespace; NULL for the whole machine. */
static void look_at_programs(const struct nvl_root *root, const struct stat *wanted,
                             const struct nvl_device *devices, size_t n_devices,
                             struct nvl_programs *programs)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    if (n_devices == 0 || nvl_root_list(root, "/proc", &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++)
        if (isdigit((unsigned char)names.items[i][0]) &&
            (wanted == NULL || is_in_pid_namespace(names.items[i], wanted)))
            look_at_program(root, names.items[i], devices, n_devices, programs);
}

void nvl_programs_find(const struct nvl_root *root, pid_t init, const struct nvl_device *devices,
                       size_t n_devices, struct nvl_programs *programs)
{
    nvl_autofree char *init_text = nvl_xasprintf("%d", (int)init);
    nvl_autofd int fd = open_pid_namespace(init_text);
    struct stat wanted;

    if (fd >= 0 && fstat(fd, &wanted) == 0)
        look_at_programs(root, &wanted, devices, n_devices, programs);
}

static void push_device(struct nvl_device **devices, size_t *n_devices, const char *path, unsigned major,
                        unsigned minor)
{
    struct nvl_device *device = NVL_APPEND(*devices, *n_devices);

    *device = (struct nvl_device){.major = major, .minor = minor};
    nvl_copy(device->path, sizeof device->path, path, strlen(path));
}

static void find_openers(const struct nvl_root *root, const struct nvl_node *nodes, size_t n_nodes,
                         struct nvl_programs *programs)
{
    nvl_autofree struct nvl_device *devices = NULL;
    size_t n_devices = 0;

    for (size_t i = 0; i < n_nodes; i++)
        if (nodes[i].major >= 0)
            push_device(&devices, &n_devices, nodes[i].path, (unsigned)nodes[i].major,
                        (unsigned)nodes[i].minor);
    look_at_programs(root, NULL, devices, n_devices, programs);
}

void nvl_programs_of_driver(const struct nvl_host *host, struct nvl_programs *programs)
{
    nvl_autofree struct nvl_node *nodes = NULL;
    struct nvl_modules modules = {0};
    size_t n_nodes = 0;

    nvl_modules_read(host->root, &modules, NULL); /* without them: no modeset */
    nvl_host_nodes(host, &modules, &nodes, &n_nodes);
    find_openers(host->root, nodes, n_nodes, programs);
}

void nvl_programs_of_gpu(const struct nvl_host *host, const struct nvl_gpu *gpu,
                         struct nvl_programs *programs)
{
    nvl_autofree struct nvl_node *nodes = NULL;
    size_t n_nodes = 0;

    nvl_gpu_nodes(host, gpu, true, &nodes, &n_nodes);
    find_openers(host->root, nodes, n_nodes, programs);
}

void nvl_programs_of_files(const struct nvl_root *root, const struct nvl_strv *paths,
                           struct nvl_programs *programs)
{
    nvl_autofree struct nvl_device *devices = NULL;
    size_t n_devices = 0;
    struct stat st;

    for (size_t i = 0; i < paths->count; i++)
        if (nvl_root_stat(root, paths->items[i], AT_SYMLINK_NOFOLLOW, &st) == 0 && S_ISCHR(st.st_mode))
            push_device(&devices, &n_devices, paths->items[i], major(st.st_rdev), minor(st.st_rdev));
    look_at_programs(root, NULL, devices, n_devices, programs);
}

void nvl_programs_clear(struct nvl_programs *programs)
{
    for (size_t i = 0; i < programs->count; i++)
        nvl_strv_clear(&programs->items[i].devices);
    free(programs->items);
    *programs = (struct nvl_programs){0};
}
