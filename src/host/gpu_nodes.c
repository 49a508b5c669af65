/* One GPU's own device nodes, each inspected. */
#include "host/gpu_nodes.h"

#include "base/alloc.h"

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
