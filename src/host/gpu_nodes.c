/* Finds device nodes: those that there should be, and the others in /dev. */
#include "host/gpu_nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/root.h"

void nvl_gpu_nodes(const struct nvl_host *host, const struct nvl_gpu *gpu, bool caps, struct nvl_node **nodes,
                   size_t *n_nodes)
{
    struct {
        bool wanted;
        enum nvl_node_kind kind;
        int minor;
        bool render;
    } own[] = {
        {gpu->driver == NVL_GPU_NVIDIA && gpu->minor >= 0, NVL_NODE_GPU, gpu->minor, false},
        {gpu->card >= 0, NVL_NODE_DRI, gpu->card, false},
        {gpu->render >= 0, NVL_NODE_DRI, gpu->render, true},
    };

    for (size_t i = 0; i < NVL_LENGTH(own); i++) {
        if (!own[i].wanted)
            continue;
        struct nvl_node *node = NVL_APPEND(*nodes, *n_nodes);
        *node =
            nvl_node_make(own[i].kind, (unsigned)own[i].minor, own[i].render, &host->majors, &host->params);
        nvl_node_check(host->root, node);
    }
    for (size_t i = 0; caps && i < gpu->n_migs; i++) {
        const unsigned minors[] = {gpu->migs[i].gi_minor, gpu->migs[i].ci_minor};
        for (size_t j = 0; j < NVL_LENGTH(minors); j++) {
            /* the compute instances of one GPU instance are adjacent, and share its node */
            if (j == 0 && i > 0 && gpu->migs[i - 1].gi_minor == minors[0])
                continue;
            struct nvl_node *node = NVL_APPEND(*nodes, *n_nodes);
            *node = nvl_node_make(NVL_NODE_CAP, minors[j], false, &host->majors, &host->params);
            nvl_node_check(host->root, node);
        }
    }
}

static void add_shared(const struct nvl_host *host, enum nvl_node_kind kind, struct nvl_node **nodes,
                       size_t *n_nodes)
{
    struct nvl_node *node = NVL_APPEND(*nodes, *n_nodes);

    *node = nvl_node_make(kind, 0, false, &host->majors, &host->params);
    nvl_node_check(host->root, node);
}

void nvl_host_nodes(const struct nvl_host *host, const struct nvl_modules *modules, struct nvl_node **nodes,
                    size_t *n_nodes)
{
    if (!host->driver.loaded)
        return;
    for (size_t i = 0; i < host->gpus.count; i++)
        if (host->gpus.items[i].driver == NVL_GPU_NVIDIA)
            nvl_gpu_nodes(host, &host->gpus.items[i], true, nodes, n_nodes);
    add_shared(host, NVL_NODE_CTL, nodes, n_nodes);
    if (!modules->nvidia_vgpu_vfio ||
        host->majors.uvm >= 0) { /* the host driver of vGPUs has no nvidia-uvm */
        add_shared(host, NVL_NODE_UVM, nodes, n_nodes);
        add_shared(host, NVL_NODE_UVM_TOOLS, nodes, n_nodes);
    }
    if (modules->nvidia_modeset)
        add_shared(host, NVL_NODE_MODESET, nodes, n_nodes);
}

static bool is_among(const struct nvl_node *nodes, size_t n_nodes, const char *path)
{
    for (size_t i = 0; i < n_nodes; i++)
        if (strcmp(nodes[i].path, path) == 0)
            return true;
    return false;
}

/* A node of a name that the driver has, but not now, is left over. */
static struct nvl_node other_node(const struct nvl_host *host, const char *path, const struct stat *st)
{
    static const char cap[] = "/dev/nvidia-caps/nvidia-cap";
    bool is_device = S_ISCHR(st->st_mode);
    struct nvl_node node = {.kind = NVL_NODE_OTHER, .found_major = -1, .found_minor = -1};
    uint64_t minor_number;

    if (nvl_has_prefix(path, cap) && nvl_parse_uint(path + strlen(cap), 10, 1u << 20, &minor_number) == 0) {
        node = nvl_node_make(NVL_NODE_CAP, (unsigned)minor_number, false, &host->majors, &host->params);
        nvl_node_check(host->root, &node);
        return node;
    }
    snprintf(node.path, sizeof node.path, "%s", path);
    node.state = !is_device ? NVL_NODE_NOT_DEVICE : nvl_node_is_nvidias(path) ? NVL_NODE_STALE : NVL_NODE_OK;
    node.found_mode = st->st_mode & 07777;
    if (is_device) {
        node.found_major = (int)major(st->st_rdev);
        node.found_minor = (int)minor(st->st_rdev);
    }
    node.major = node.found_major;
    node.minor = node.found_minor;
    return node;
}

void nvl_other_nodes(const struct nvl_host *host, struct nvl_node **nodes, size_t *n_nodes)
{
    static const struct {
        const char *folder, *prefix;
    } places[] = {{"/dev", "nvidia"},
                  {"/dev", "gdrdrv"},
                  {"/dev/nvidia-caps", "nvidia-cap"},
                  {"/dev/nvidia-caps-imex-channels", "channel"}};

    for (size_t i = 0; i < NVL_LENGTH(places); i++) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        nvl_root_list(host->root, places[i].folder, &names);
        for (size_t n = 0; n < names.count; n++) {
            nvl_autofree char *path = nvl_xasprintf("%s/%s", places[i].folder, names.items[n]);
            struct stat st;
            if (!nvl_has_prefix(names.items[n], places[i].prefix) || strlen(path) >= sizeof(*nodes)->path ||
                is_among(*nodes, *n_nodes, path) ||
                nvl_root_stat(host->root, path, AT_SYMLINK_NOFOLLOW, &st) < 0 || S_ISDIR(st.st_mode))
                continue;
            *NVL_APPEND(*nodes, *n_nodes) = other_node(host, path, &st);
        }
    }
}

char *nvl_node_owner(const struct nvl_host *host, const struct nvl_node *node)
{
    for (size_t i = 0; i < host->gpus.count; i++) {
        const struct nvl_gpu *gpu = &host->gpus.items[i];
        nvl_autofree char *name =
            gpu->index >= 0 ? nvl_xasprintf("GPU %d", gpu->index) : nvl_xasprintf("GPU %s", gpu->pci);
        bool is_own = node->kind == NVL_NODE_GPU && gpu->minor == node->minor;
        bool is_dri = node->kind == NVL_NODE_DRI && (gpu->card == node->minor || gpu->render == node->minor);
        if (is_own || is_dri)
            return TAKE_PTR(name);
        for (size_t m = 0; node->kind == NVL_NODE_CAP && m < gpu->n_migs; m++) {
            const struct nvl_mig *mig = &gpu->migs[m];
            if ((int)mig->gi_minor == node->minor)
                return nvl_xasprintf("%s, MIG GI %u", name, mig->gi);
            if ((int)mig->ci_minor == node->minor)
                return nvl_xasprintf("%s, MIG GI %u, CI %u", name, mig->gi, mig->ci);
        }
    }
    return NULL;
}
