/* Device nodes on the host: makes those that need `mknod`, and leaves correct ones alone. */
#include "hook/nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "host/host.h"
#include "inject/outcome.h"

#define MIG_TOOLS "/proc/driver/nvidia/capabilities/mig"

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
    /* umask is 022 here: the mode is set after */
    if (mknodat(parent, name, S_IFCHR | 0600, makedev((unsigned)node->major, (unsigned)node->minor)) < 0)
        return errno == EEXIST ? 0 : -errno; /* another start made it first */
    if (fchownat(parent, name, params->uid, params->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(parent, name, node->mode, 0) < 0)
        return -errno;
    return 0;
}

void nvl_seen_nodes_clear(struct nvl_seen_nodes *seen)
{
    free(seen->items);
    *seen = (struct nvl_seen_nodes){0};
}

void nvl_seen_nodes_check(const struct nvl_seen_nodes *seen, const struct nvl_root *root,
                          struct nvl_node *node)
{
    for (size_t i = 0; i < seen->count; i++)
        if (strcmp(seen->items[i].path, node->path) == 0) {
            *node = seen->items[i];
            return;
        }
    nvl_node_check(root, node);
}

static void ensure_host_node(const struct nvl_host *host, struct nvl_node node, struct nvl_seen_nodes *seen,
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

void nvl_nodes_ensure(const struct nvl_host *host, struct nvl_seen_nodes *seen, struct nvl_outcome *outcome)
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

void nvl_nodes_ensure_mig_tools(const struct nvl_host *host, struct nvl_seen_nodes *seen,
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
