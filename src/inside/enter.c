/* Enters a container. nvlxc enters it directly and not by lxc-attach: it can execute a descriptor there (the
 * probe needs no file in the container), it enters a container of any user in the same way, and it can give
 * what runs there fewer rights than the container's own root has. */
#include "inside/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "container/state.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

static void kill_listed(int cgroup)
{
    nvl_autofd int fd = openat(cgroup, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, line_len, pos = 0;
    char digits[16];
    uint64_t pid;

    if (fd < 0 || nvl_fd_read(fd, 1u << 20, &text, &len) < 0)
        return;
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        if (nvl_copy(digits, sizeof digits, line, line_len) &&
            nvl_parse_uint(digits, 10, INT32_MAX, &pid) == 0 && pid > 1)
            kill((pid_t)pid, SIGKILL);
}

void nvl_cgroup_kill(int cgroup)
{
    nvl_autofd int fd = openat(cgroup, "cgroup.kill", O_WRONLY | O_CLOEXEC);

    /* the kernel has it since 5.14 */
    if (fd < 0 || nvl_fd_write(fd, "1", 1) < 0)
        kill_listed(cgroup);
}

bool nvl_cgroup_is(int cgroup, const char *event)
{
    nvl_autofd int fd = openat(cgroup, "cgroup.events", O_RDONLY | O_CLOEXEC);
    nvl_autofree char *text = NULL;
    size_t len;

    return fd >= 0 && nvl_fd_read(fd, 4096, &text, &len) == 0 && strstr(text, event) != NULL;
}

static const struct {
    const char *name;
    int flag;
} kinds[] = {
    {"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},  {"pid", CLONE_NEWPID},       {"net", CLONE_NEWNET},
    {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP},
};

/* Its namespaces that are not ours: joining our own user namespace again is an error. */
static int read_namespaces(struct nvl_inside *in, const struct nvl_root *host)
{
    for (size_t i = 0; i < NVL_LENGTH(kinds); i++) {
        nvl_autofree char *own_path = nvl_xasprintf("/proc/self/ns/%s", kinds[i].name);
        nvl_autofree char *path = nvl_xasprintf("/proc/%d/ns/%s", (int)in->init, kinds[i].name);
        nvl_autofree char *own = NULL, *theirs = NULL;
        int r = nvl_root_readlink(host, path, &theirs);
        if (r < 0)
            return r;
        if (nvl_root_readlink(host, own_path, &own) == 0 && strcmp(own, theirs) != 0)
            in->namespaces |= kinds[i].flag;
    }
    return 0;
}

static int read_proc_file(const struct nvl_root *host, pid_t pid, const char *name, char **text, size_t *len)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%d/%s", (int)pid, name);

    return nvl_root_read(host, path, 64u << 10, text, len);
}

/* The rights that its init can ever have: what the config's lxc.cap lines leave. */
static int read_bounding_set(struct nvl_inside *in, const struct nvl_root *host)
{
    nvl_autofree char *text = NULL;
    const char *line, *value;
    size_t len, line_len, value_len, pos = 0;
    char digits[24];

    int r = read_proc_file(host, in->init, "status", &text, &len);
    while (r == 0 && nvl_next_line(text, len, &pos, &line, &line_len))
        if (nvl_line_value(line, line_len, "CapBnd", &value, &value_len))
            return nvl_copy(digits, sizeof digits, value, value_len)
                       ? nvl_parse_uint(digits, 16, UINT64_MAX, &in->capabilities)
                       : -EINVAL;
    return r < 0 ? r : -ENOENT;
}

/* "lxc-220_</var/lib/lxc> (enforce)" without the mode. */
static void read_profile(struct nvl_inside *in, const struct nvl_root *host)
{
    nvl_autofree char *text = NULL;
    size_t len;

    if (!nvl_root_exists(host, "/sys/kernel/security/apparmor") ||
        (read_proc_file(host, in->init, "attr/apparmor/current", &text, &len) < 0 &&
         read_proc_file(host, in->init, "attr/current", &text, &len) < 0))
        return;
    text[strcspn(text, "\n")] = '\0';
    char *mode = strstr(text, " (");
    if (mode != NULL)
        *mode = '\0';
    if (text[0] != '\0' && strcmp(text, "unconfined") != 0)
        in->profile = TAKE_PTR(text);
}

/* The cgroup of its init, in the only hierarchy that can have a device filter. */
static char *find_cgroup(const struct nvl_root *host, pid_t init)
{
    nvl_autofree char *group = NULL;

    if (nvl_root_exists(host, CGROUP_ROOT "/cgroup.controllers"))
        group = nvl_process_cgroup(host, init);
    return group != NULL && group[1] != '\0' ? nvl_xasprintf(CGROUP_ROOT "%s", group) : NULL;
}

/* A folder of our own below it, so that everything that a command leaves running can be killed. */
static int open_cgroup(struct nvl_inside *in, const struct nvl_root *host)
{
    nvl_autofree char *path = find_cgroup(host, in->init);

    if (path == NULL)
        return -ENOTSUP;
    nvl_autofd int theirs = nvl_root_openat(host, path, O_RDONLY | O_DIRECTORY);
    if (theirs < 0)
        return theirs;
    if (nvl_cgroup_is(theirs, "frozen 1")) /* a process that joins it freezes */
        return -EBUSY;
    snprintf(in->name, sizeof in->name, "nvlxc-verify.%d", (int)getpid());
    if (mkdirat(theirs, in->name, 0755) == 0) {
        in->cgroup = openat(theirs, in->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (in->cgroup >= 0) {
            in->parent = TAKE_FD(theirs);
            return 0;
        }
        unlinkat(theirs, in->name, AT_REMOVEDIR);
    }
    in->cgroup = TAKE_FD(theirs);
    return 0;
}

int nvl_inside_open(struct nvl_inside *in, const struct nvl_root *host, pid_t init, bool is_mapped,
                    struct nvl_error *err)
{
    *in = NVL_INSIDE_NONE;
    in->init = init;
    in->pidfd = (int)syscall(SYS_pidfd_open, init, 0);
    if (in->pidfd < 0)
        return nvl_error_errno(err, -errno, "cannot enter the container: its init, process %d", (int)init);
    int r = read_namespaces(in, host);
    if (r == 0)
        r = read_bounding_set(in, host);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot enter the container: /proc/%d", (int)init);
    if ((in->namespaces & CLONE_NEWNS) == 0 || (is_mapped && (in->namespaces & CLONE_NEWUSER) == 0))
        return nvl_error_set(err, -EINVAL,
                             "process %d is not the init of that container: it shares %s with the host",
                             (int)init, (in->namespaces & CLONE_NEWNS) == 0 ? "its mounts" : "its users");
    read_profile(in, host);
    r = open_cgroup(in, host);
    if (r == -EBUSY) {
        nvl_error_set(err, r, "the container is frozen: nothing can run in it");
    } else if (r < 0) {
        nvl_error_errno(err, r, "cannot join the container's cgroup, so its device filter would not apply");
        nvl_error_hint(err, "nvlxc needs a host with only cgroup v2 (no hybrid layout) for this");
    }
    return r;
}

void nvl_inside_close(struct nvl_inside *in)
{
    if (in->parent >= 0) {
        nvl_cgroup_kill(in->cgroup);
        /* the kernel takes a moment until the last process has left it */
        for (int i = 0; i < 50 && unlinkat(in->parent, in->name, AT_REMOVEDIR) < 0 && errno == EBUSY; i++)
            usleep(10000);
        close(in->parent);
    }
    if (in->cgroup >= 0)
        close(in->cgroup);
    if (in->pidfd >= 0)
        close(in->pidfd);
    free(in->profile);
    *in = NVL_INSIDE_NONE;
}
