/* The pre-start hook: what only the host's root can do, where it is needed. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/paths.h"
#include "hook/hook.h"
#include "host/host.h"

/* Runs a program of the host with an empty environment and waits; its exit status, or a negative errno. */
static int run(const char *program, const char *const *argv)
{
    static char *const envp[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    int status;

    pid_t child = fork();
    if (child < 0)
        return -errno;
    if (child == 0) {
        execve(program, (char *const *)argv, envp);
        _exit(127);
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void load_modules(struct nvl_host *host, const struct nvl_root *root, struct nvl_report *report)
{
    static const char *const argv[] = {"modprobe", "-q", "nvidia-uvm", NULL};
    struct nvl_error err;

    if (host->driver.loaded && host->majors.uvm >= 0)
        return;
    int status = run("/sbin/modprobe", argv);
    nvl_host_clear(host);
    if (nvl_host_read(host, root, NVL_GPUS_PROC, &err) < 0)
        nvl_strv_push(&report->problems, err.message);
    else if (host->majors.uvm >= 0)
        nvl_strv_push(&report->done, "nvidia-uvm loaded");
    else
        nvl_strv_pushf(&report->problems,
                       "nvidia-uvm cannot be loaded (modprobe: status %d): see 'nvlxc host'", status);
}

static int make_node(const struct nvl_root *root, const struct nvl_node *node,
                     const struct nvl_params *params)
{
    const char *name;
    struct stat st;
    nvl_autofd int parent = nvl_root_open_parent(root, node->path, &name);

    if (parent == -ENOENT) { /* /dev/nvidia-caps */
        nvl_autofree char *folder = nvl_xstrndup(node->path, (size_t)(name - node->path) - 1);
        const char *folder_name;
        nvl_autofd int above = nvl_root_open_parent(root, folder, &folder_name);
        if (above < 0 || (mkdirat(above, folder_name, 0755) < 0 && errno != EEXIST))
            return above < 0 ? above : -errno;
        parent = nvl_root_open_parent(root, node->path, &name);
    }
    if (parent < 0)
        return parent;
    if (node->state == NVL_NODE_NOT_DEVICE) {
        /* only what `create=file` leaves goes: an empty file */
        if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) || st.st_size > 0)
            return -EEXIST;
    }
    if (node->state != NVL_NODE_MISSING && unlinkat(parent, name, 0) < 0)
        return -errno;
    /* umask is 022 here: the mode is set after */
    if (mknodat(parent, name, S_IFCHR | 0600, makedev((unsigned)node->major, (unsigned)node->minor)) < 0)
        return errno == EEXIST ? 0 : -errno; /* another start was faster */
    if (fchownat(parent, name, params->uid, params->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(parent, name, node->mode, 0) < 0)
        return -errno;
    return 0;
}

static void ensure_node(const struct nvl_host *host, struct nvl_node node, struct nvl_report *report)
{
    if (node.major < 0)
        return;
    nvl_node_check(host->root, &node);
    if (node.state == NVL_NODE_OK || node.state == NVL_NODE_MODE)
        return;
    int r = make_node(host->root, &node, &host->params);
    if (r < 0)
        nvl_strv_pushf(&report->problems, "cannot make %s: %s", node.path, strerror(-r));
    else
        nvl_strv_pushf(&report->done, "%s made (it was %s)", node.path, nvl_node_state_name(node.state));
}

static void ensure_nodes(const struct nvl_host *host, struct nvl_report *report)
{
    static const enum nvl_node_kind common[] = {NVL_NODE_CTL, NVL_NODE_MODESET, NVL_NODE_UVM,
                                                NVL_NODE_UVM_TOOLS};
    const struct nvl_majors *majors = &host->majors;

    /* the administrator's word against nodes that appear by themselves */
    if (!host->params.modify_device_files)
        return;
    for (size_t i = 0; i < NVL_LENGTH(common); i++)
        ensure_node(host, nvl_node_make(common[i], 0, false, majors, &host->params), report);
    for (size_t i = 0; i < host->gpus.count; i++) {
        const struct nvl_gpu *gpu = &host->gpus.items[i];
        if (gpu->minor < 0)
            continue;
        ensure_node(host, nvl_node_make(NVL_NODE_GPU, (unsigned)gpu->minor, false, majors, &host->params),
                    report);
        for (size_t j = 0; j < gpu->n_migs; j++) {
            const struct nvl_mig *mig = &gpu->migs[j];
            ensure_node(host, nvl_node_make(NVL_NODE_CAP, mig->gi_minor, false, majors, &host->params),
                        report);
            ensure_node(host, nvl_node_make(NVL_NODE_CAP, mig->ci_minor, false, majors, &host->params),
                        report);
        }
    }
}

/* Until its first use after a boot the driver does not say a GPU's UUID, and a grant may name it by that.
 * Opening the node is a use. */
static void learn_uuids(const struct nvl_host *host)
{
    for (size_t i = 0; i < host->gpus.count; i++) {
        const struct nvl_gpu *gpu = &host->gpus.items[i];
        if (gpu->driver != NVL_GPU_NVIDIA || gpu->uuid[0] != '\0' || gpu->minor < 0)
            continue;
        const struct nvl_node node =
            nvl_node_make(NVL_NODE_GPU, (unsigned)gpu->minor, false, &host->majors, &host->params);
        nvl_autofd int fd = nvl_root_openat(host->root, node.path, O_RDWR | O_NONBLOCK | O_NOFOLLOW);
        (void)fd;
    }
}

static void ensure_bundle(const struct nvl_host *host, struct nvl_report *report)
{
    const char *version = host->driver.version;
    const char *const argv[] = {"nvlxc", "--quiet", "driver", "sync", version, NULL};
    nvl_autofree char *sonames = nvl_xasprintf("%s/%s/sonames", NVL_BUNDLE_DIR, version);

    if (version[0] == '\0' || nvl_root_exists(host->root, sonames))
        return;
    int status = run(NVL_PROGRAM, argv);
    if (nvl_root_exists(host->root, sonames))
        nvl_strv_pushf(&report->done, "driver bundle %s built", version);
    else
        nvl_strv_pushf(&report->problems,
                       "the driver bundle %s cannot be built (nvlxc driver sync: status %d)", version,
                       status);
}

void nvl_hook_pre_start(const struct nvl_root *root, struct nvl_report *report)
{
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    struct nvl_error err;

    if (geteuid() != 0)
        return; /* a user's container: the host's root prepares it by 'nvlxc attach' and at boot */
    if (nvl_host_read(&host, root, NVL_GPUS_PROC, &err) < 0) {
        nvl_strv_push(&report->problems, err.message);
        return;
    }
    load_modules(&host, root, report);
    if (!host.driver.loaded)
        return;
    ensure_nodes(&host, report);
    learn_uuids(&host);
    ensure_bundle(&host, report);
}
