/* What the hook does on the host, before a container starts (pre-start) and once after boot (prepare): only
 * what needs the host's root, and only if needed. mount.c has what it does in the container. */
#include "hook/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/root.h"
#include "base/run.h"
#include "container/effective.h"
#include "container/hook_environment.h"
#include "container/idmap.h"
#include "container/list.h"
#include "grant/resolve.h"
#include "host/host.h"
#include "host/module.h"
#include "inject/cdi_file.h"
#include "inject/mapping_copy.h"
#include "inject/node_copies.h"
#include "inject/outcome.h"

/* ---- device nodes of the host ---- */

/* Nodes that were checked, in their present state: later steps need not check again. */
struct seen_nodes {
    struct nvl_node *items;
    size_t count;
};

#define MIG_TOOLS "/proc/driver/nvidia/capabilities/mig"

/* With its mode from the first moment on: after a start that was killed nobody sets it. */
static int make_device(int folder, const char *name, const struct nvl_node *node,
                       const struct nvl_params *params)
{
    dev_t number = makedev((unsigned)node->major, (unsigned)node->minor);
    mode_t before = umask(0);
    int r = mknodat(folder, name, S_IFCHR | node->mode, number) < 0 ? -errno : 0;

    umask(before);
    if (r < 0)
        return r == -EEXIST ? 0 : r; /* another start made it first */
    if ((params->uid != 0 || params->gid != 0) &&
        fchownat(folder, name, params->uid, params->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return 0;
}

static int make_host_node(const struct nvl_root *root, const struct nvl_node *node,
                          const struct nvl_params *params)
{
    nvl_autofree char *folder = nvl_xstrndup(node->path, (size_t)(strrchr(node->path, '/') - node->path));
    const char *name;
    struct stat st;

    int r = nvl_root_make_folder(root, folder); /* /dev/nvidia-caps */
    if (r < 0)
        return r;
    nvl_autofd int parent = nvl_root_open_parent(root, node->path, &name);
    if (parent < 0)
        return parent;
    if (node->state == NVL_NODE_NOT_DEVICE) {
        /* remove only what `create=file` leaves: an empty file */
        if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) || st.st_size > 0)
            return -EEXIST;
    }
    if (node->state != NVL_NODE_MISSING && unlinkat(parent, name, 0) < 0)
        return -errno;
    return make_device(parent, name, node, params);
}

static void seen_nodes_clear(struct seen_nodes *seen)
{
    free(seen->items);
    *seen = (struct seen_nodes){0};
}

static void check_seen_node(const struct seen_nodes *seen, const struct nvl_root *root, struct nvl_node *node)
{
    for (size_t i = 0; i < seen->count; i++)
        if (strcmp(seen->items[i].path, node->path) == 0) {
            *node = seen->items[i];
            return;
        }
    nvl_node_check(root, node);
}

static void ensure_host_node(const struct nvl_host *host, struct nvl_node node, struct seen_nodes *seen,
                             struct nvl_outcome *outcome)
{
    if (node.major < 0)
        return;
    nvl_node_check(host->root, &node);
    if (node.state != NVL_NODE_OK && node.state != NVL_NODE_MODE) {
        int r = make_host_node(host->root, &node, &host->params);
        if (r < 0)
            nvl_strv_pushf(&outcome->problems, "cannot make %s: %s", node.path, strerror(-r));
        else
            nvl_strv_pushf(&outcome->done, "%s made (it was %s)", node.path, nvl_node_state_name(node.state));
        nvl_node_check(host->root, &node);
    }
    *NVL_APPEND(seen->items, seen->count) = node;
}

/* Makes nodes that are missing, have another number, or are an empty file: those of every GPU, control,
 * modeset, uvm, and each MIG device's capabilities. Does nothing if ModifyDeviceFiles is 0: then the
 * administrator wants no nodes that appear by themselves. `seen` gets each node; the caller clears it. */
static void ensure_host_nodes(const struct nvl_host *host, struct seen_nodes *seen,
                              struct nvl_outcome *outcome)
{
    static const enum nvl_node_kind common[] = {NVL_NODE_CTL, NVL_NODE_MODESET, NVL_NODE_UVM,
                                                NVL_NODE_UVM_TOOLS};
    const struct nvl_majors *majors = &host->majors;

    if (!host->params.modify_device_files)
        return;
    for (size_t i = 0; i < NVL_LENGTH(common); i++)
        ensure_host_node(host, nvl_node_make(common[i], 0, false, majors, &host->params), seen, outcome);
    for (size_t i = 0; i < host->gpus.count; i++) {
        const struct nvl_gpu *gpu = &host->gpus.items[i];
        if (gpu->minor < 0)
            continue;
        ensure_host_node(host,
                         nvl_node_make(NVL_NODE_GPU, (unsigned)gpu->minor, false, majors, &host->params),
                         seen, outcome);
        for (size_t j = 0; j < gpu->n_migs; j++) {
            const struct nvl_mig *mig = &gpu->migs[j];
            ensure_host_node(host, nvl_node_make(NVL_NODE_CAP, mig->gi_minor, false, majors, &host->params),
                             seen, outcome);
            ensure_host_node(host, nvl_node_make(NVL_NODE_CAP, mig->ci_minor, false, majors, &host->params),
                             seen, outcome);
        }
    }
}

static void ensure_mig_tools(const struct nvl_host *host, struct seen_nodes *seen,
                             struct nvl_outcome *outcome)
{
    static const struct {
        const char *file;
        unsigned minor; /* as /proc/driver/nvidia-caps/mig-minors always gives them */
    } tools[] = {{MIG_TOOLS "/config", 1}, {MIG_TOOLS "/monitor", 2}};

    if (!host->params.modify_device_files)
        return;
    for (size_t i = 0; i < NVL_LENGTH(tools); i++)
        if (nvl_root_exists(host->root, tools[i].file))
            ensure_host_node(host,
                             nvl_node_make(NVL_NODE_CAP, tools[i].minor, false, &host->majors, &host->params),
                             seen, outcome);
}

/* ---- the hook ---- */

/* ---- the container before its start, according to its config ---- */

/* What pre-start knows of the container: liblxc sets its environment only later. */
struct starting {
    struct nvl_config config;
    struct nvl_effective effective;
    struct nvl_error incomplete; /* set if an include could not be read */
    bool has_grant;
    struct nvl_grant grant;
};

/* From LXC_CONFIG_FILE. Leaves out what cannot be read. */
static void read_starting(const struct nvl_root *host, const struct nvl_hook_call *call,
                          struct starting *starting)
{
    char *text;
    size_t len;

    *starting = (struct starting){0};
    if (call->config == NULL || call->config[0] != '/' ||
        nvl_root_read(host, call->config, NVL_CONFIG_MAX, &text, &len) < 0 ||
        nvl_config_parse(&starting->config, NVL_DIALECT_LXC, text, len, NULL) < 0)
        return;
    const struct nvl_container container = {.kind = NVL_CONTAINER_LXC,
                                            .name = call->container,
                                            .lxc_name = call->container,
                                            .config_path = call->config};
    nvl_effective_read(host, &container, &starting->config, &starting->effective, &starting->incomplete);
    starting->has_grant = nvl_effective_grant(&starting->effective, &starting->grant, NULL) == 1;
}

/* Of what doctor explains, the log has one line: the mount hook's shell will run with this environment. */
static void say_dangers(const struct nvl_root *host, const struct nvl_hook_call *call,
                        const struct starting *starting, struct nvl_outcome *outcome)
{
    nvl_auto(nvl_hook_dangers_clear) struct nvl_hook_dangers dangers = {0};
    const struct nvl_container container = {.kind = NVL_CONTAINER_LXC,
                                            .name = call->container,
                                            .lxc_name = call->container,
                                            .config_path = call->config};

    if (call->container != NULL)
        nvl_hook_dangers_find(host, &container, &starting->effective, &dangers);
    for (size_t i = 0; i < dangers.count; i++)
        nvl_strv_pushf(
            &outcome->problems,
            "its environment %s, which can run its image's code on the host: see 'nvlxc doctor %s'",
            dangers.items[i].why, call->container);
}

static void starting_clear(struct starting *starting)
{
    nvl_grant_clear(&starting->grant);
    nvl_effective_clear(&starting->effective);
    nvl_config_clear(&starting->config);
}

static void copy_mappings(const struct starting *starting, const struct nvl_root *root,
                          const struct nvl_hook_call *call, struct nvl_outcome *outcome)
{
    if (!starting->has_grant || call->container == NULL)
        return;
    int r = nvl_mapping_copy_make(root, call->container, &starting->grant);
    if (r < 0)
        nvl_strv_pushf(&outcome->problems, "cannot pass Proxmox's mappings on to the mount hook: %s",
                       strerror(-r));
}

/* Makes the container's own nodes (inject/node_copies.h), if it needs any. `seen` are nodes of the host. */
static void make_node_copies(const struct starting *starting, const struct nvl_host *host,
                             const struct seen_nodes *seen, const struct nvl_hook_call *call,
                             struct nvl_outcome *report)
{
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved = {0};
    struct nvl_error err = starting->incomplete;
    struct nvl_idmap map;

    if (!starting->has_grant || starting->grant.delivery.nodes != NVL_NODES_HOOK || call->container == NULL)
        return;
    nvl_grant_resolve(&starting->grant, host, &resolved);
    for (size_t i = 0; i < resolved.n_nodes; i++)
        check_seen_node(seen, host->root, &resolved.nodes[i]);
    if (!nvl_node_copies_are_needed(&resolved))
        nvl_node_copies_remove(host->root, call->container);
    else if (err.code < 0 || nvl_idmap_read(&starting->effective, &map, &err) < 0)
        nvl_strv_push(&report->problems, err.message);
    else
        nvl_node_copies_make(host->root, &resolved, call->container, map.uid0, map.gid0, &report->problems);
}

/* ---- the hooks ---- */

#define MODPROBE "/sbin/modprobe"

/* Runs a program of the host with an empty environment and waits, for so many seconds at most (0: however
 * long); its exit status, or a negative errno. Its output goes to standard error: standard output is for the
 * hook's own line. */
static int run_host_program(const char *const *argv, unsigned seconds)
{
    static char *const environment[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    const struct nvl_run run = {.argv = argv,
                                .environment = environment,
                                .input = NVL_STREAM_CALLERS,
                                .output = NVL_STREAM_FD,
                                .output_fd = STDERR_FILENO,
                                .errors = NVL_STREAM_CALLERS,
                                .seconds = seconds};

    return nvl_run_status(&run);
}

static void load_modules(struct nvl_host *host, const struct nvl_root *root, enum nvl_gpus_depth depth,
                         struct nvl_outcome *outcome)
{
    static const char *const argv[] = {MODPROBE, "-q", "nvidia-uvm", NULL};
    struct nvl_modules modules;
    struct nvl_error err;

    if (host->driver.loaded && host->majors.uvm >= 0)
        return;
    int status = run_host_program(argv, 0);
    nvl_host_clear(host);
    if (nvl_host_read(host, root, depth, &err) < 0) {
        nvl_strv_push(&outcome->problems, err.message);
    } else if (host->majors.uvm >= 0) {
        nvl_strv_push(&outcome->done, "nvidia-uvm loaded");
    } else {
        bool is_vgpu = nvl_modules_read(root, &modules, NULL) == 0 && modules.nvidia_vgpu_vfio;
        nvl_autofree char *why = nvl_status_text(status);
        nvl_strv_pushf(&outcome->problems, "cannot load nvidia-uvm (modprobe: %s)%s: see 'nvlxc host'", why,
                       is_vgpu ? ", which NVIDIA's host driver for virtual GPUs lacks" : "");
    }
}

/* Opening the node is a use. A GPU that the grant cannot mean is left alone: opening one that is broken takes
 * long, at each start. `grant` is NULL if it is not known. Returns whether any GPU had its UUID to learn. */
static bool learn_uuids(const struct nvl_host *host, const struct nvl_grant *grant)
{
    bool is_any = false;

    for (size_t i = 0; i < host->gpus.count; i++) {
        const struct nvl_gpu *gpu = &host->gpus.items[i];
        if (!nvl_gpu_lacks_uuid(gpu) || (grant != NULL && !nvl_grant_can_mean(grant, &host->gpus, gpu)))
            continue;
        const struct nvl_node node =
            nvl_node_make(NVL_NODE_GPU, (unsigned)gpu->minor, false, &host->majors, &host->params);
        nvl_autofd int fd = nvl_root_openat(host->root, node.path, O_RDWR | O_NONBLOCK | O_NOFOLLOW);
        is_any |= fd >= 0;
    }
    return is_any;
}

static void ensure_bundle(const struct nvl_host *host, struct nvl_outcome *outcome)
{
    const char *version = host->driver.version;
    const char *const argv[] = {NVL_PROGRAM, "--quiet", "driver", "sync", version, NULL};
    nvl_autofree char *sonames = nvl_xasprintf("%s/%s/sonames", NVL_BUNDLE_DIR, version);

    if (version[0] == '\0' || nvl_root_exists(host->root, sonames))
        return;
    nvl_autofree char *why = nvl_status_text(run_host_program(argv, 0));
    if (nvl_root_exists(host->root, sonames))
        nvl_strv_pushf(&outcome->done, "driver bundle %s built", version);
    else
        nvl_strv_pushf(&outcome->problems, "cannot build the driver bundle %s (nvlxc driver sync: %s)",
                       version, why);
}

#define CDI_SECONDS 20 /* it takes some milliseconds; a start does not wait for a host that hangs */

/* By the program itself, which knows the format: the mount hook copies the file. */
static void make_cdi(const struct nvl_hook_call *call, const struct nvl_root *root,
                     struct nvl_outcome *outcome)
{
    nvl_autofree char *path = nvl_cdi_file_path(call->container),
                      *ct = nvl_xasprintf("/etc/pve/lxc/%s.conf", call->container),
                      *name =
                          nvl_xasprintf("%s%s", nvl_root_exists(root, ct) ? "" : "root/", call->container);
    const char *const argv[] = {NVL_PROGRAM, "--quiet", "cdi", name, "--output", path, NULL};

    nvl_cdi_file_forget(root, call->container); /* that of an earlier grant */
    int r = path != NULL ? nvl_root_make_folder(root, NVL_CDI_COPIES_DIR) : -EINVAL;
    int status = r < 0 ? r : run_host_program(argv, CDI_SECONDS);
    nvl_autofree char *why = nvl_status_text(status);
    if (status == -ETIMEDOUT)
        nvl_strv_pushf(&outcome->problems,
                       "cannot make its CDI specification: nvlxc cdi %s did not end within %d s", name,
                       CDI_SECONDS);
    else if (status != 0)
        nvl_strv_pushf(&outcome->problems, "cannot make its CDI specification (nvlxc cdi %s: %s)", name, why);
}

void nvl_hook_pre_start(const struct nvl_hook_call *call, const struct nvl_root *root,
                        struct nvl_outcome *outcome)
{
    nvl_auto(starting_clear) struct starting starting = {0};
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_auto(seen_nodes_clear) struct seen_nodes seen = {0};
    struct nvl_error err;

    if (geteuid() != 0)
        return; /* a user's container: the host's root prepares it with 'nvlxc attach' and at boot */
    read_starting(root, call, &starting);
    say_dangers(root, call, &starting, outcome);
    enum nvl_gpus_depth depth = starting.has_grant ? nvl_grant_depth(&starting.grant) : NVL_GPUS_PROC;
    if (nvl_host_read(&host, root, depth, &err) < 0) {
        nvl_strv_push(&outcome->problems, err.message);
        return;
    }
    load_modules(&host, root, depth, outcome);
    if (!host.driver.loaded)
        return;
    ensure_host_nodes(&host, &seen, outcome);
    if (learn_uuids(&host, starting.has_grant ? &starting.grant : NULL)) {
        nvl_host_clear(&host);
        if (nvl_host_read(&host, root, depth, &err) < 0) {
            nvl_strv_push(&outcome->problems, err.message);
            return;
        }
    }
    copy_mappings(&starting, root, call, outcome);
    make_node_copies(&starting, &host, &seen, call, outcome);
    if (call->delivery.libraries == NVL_LIBRARIES_BUNDLE)
        ensure_bundle(&host, outcome);
    if (call->delivery.cdi && call->container != NULL)
        make_cdi(call, root, outcome);
}

/* A GPU with another driver (vfio-pci, nouveau) was given away on purpose. */
static bool has_gpu_for_driver(const struct nvl_gpus *gpus)
{
    for (size_t i = 0; i < gpus->count; i++)
        if ((gpus->items[i].driver == NVL_GPU_NO_DRIVER || gpus->items[i].driver == NVL_GPU_NVIDIA) &&
            gpus->items[i].physical[0] == '\0')
            return true;
    return false;
}

static bool has_bundle(const struct nvl_root *root)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_root_list(root, NVL_BUNDLE_DIR, &names);
    for (size_t i = 0; i < names.count; i++)
        if (nvl_is_version(names.items[i], strlen(names.items[i])))
            return true;
    return false;
}

/* Loads the driver if nothing forbids it. An administrator's `blacklist nvidia` does, hence -b: without it
 * modprobe heeds a blacklist only for aliases. A machine that never had the driver gets no message; one whose
 * containers have had it does. */
static void load_kernel_driver(const struct nvl_root *root, struct nvl_outcome *outcome)
{
    static const char *const look[] = {MODPROBE, "-q", "-n", "nvidia", NULL};
    static const char *const load[] = {MODPROBE, "-q", "-b", "nvidia", NULL};
    struct nvl_driver_version driver;

    if (run_host_program(look, 0) != 0) {
        if (has_bundle(root))
            nvl_strv_push(&outcome->problems, "no NVIDIA kernel module for the running kernel: was it built? "
                                              "see 'nvlxc host'");
        return;
    }
    int status = run_host_program(load, 0);
    nvl_autofree char *why = nvl_status_text(status);
    if (nvl_driver_version_read(root, &driver, NULL) == 0 && driver.loaded)
        nvl_strv_push(&outcome->done, "nvidia loaded");
    else if (status != 0)
        nvl_strv_pushf(&outcome->problems, "cannot load nvidia (modprobe: %s): see 'nvlxc host'", why);
}

/* Containers with `graphics` open its node. Loading nvidia-drm is up to the administrator: it may take over
 * the console. */
static void load_modeset(const struct nvl_root *root)
{
    static const char *const argv[] = {MODPROBE, "-q", "-b", "nvidia-modeset", NULL};
    struct nvl_modules modules;

    if (nvl_modules_read(root, &modules, NULL) == 0 && !modules.nvidia_modeset)
        run_host_program(argv, 0);
}

void nvl_hook_prepare(const struct nvl_root *root, struct nvl_outcome *outcome)
{
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_auto(seen_nodes_clear) struct seen_nodes seen = {0};
    struct nvl_error err;

    if (geteuid() != 0) {
        nvl_strv_push(&outcome->problems, "must run as root to prepare the host for containers");
        return;
    }
    int r = nvl_host_read(&host, root, NVL_GPUS_ALL, &err);
    if (r == 0 && !host.driver.loaded) {
        if (!has_gpu_for_driver(&host.gpus))
            return;
        load_kernel_driver(root, outcome);
        nvl_host_clear(&host);
        r = nvl_host_read(&host, root, NVL_GPUS_PROC, &err);
    }
    if (r < 0)
        nvl_strv_push(&outcome->problems, err.message);
    if (r < 0 || !host.driver.loaded)
        return;
    load_modules(&host, root, NVL_GPUS_PROC, outcome);
    load_modeset(root);
    ensure_host_nodes(&host, &seen, outcome);
    ensure_mig_tools(&host, &seen, outcome);
    learn_uuids(&host, NULL);
}
