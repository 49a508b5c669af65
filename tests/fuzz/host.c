/* A host's /proc and /sys with GPUs and MIG devices, and what a grant of it means: a tree; the grant is its
 * first part. */
#include "fuzz.h"

#include "grant/resolve.h"
#include "host/gpu_nodes.h"
#include "host/gpu_state.h"

static void check_gpu(const struct nvl_gpus *gpus, const struct nvl_gpu *gpu)
{
    nvl_autofree char *text = nvl_gpu_text(gpu), *why = nvl_gpu_why_not(gpu), *remark = nvl_gpu_remark(gpu);

    CHECK(strnlen(gpu->pci, sizeof gpu->pci) < sizeof gpu->pci && gpu->minor >= -1 && gpu->index >= -1);
    CHECK(strnlen(gpu->driver_name, sizeof gpu->driver_name) < sizeof gpu->driver_name);
    CHECK((why == NULL) == nvl_gpu_can_be_given(gpu));
    CHECK(gpu->index < 0 || nvl_gpu_by_index(gpus, (unsigned)gpu->index) == gpu);
}

static void check_nodes(const struct nvl_host *host, struct nvl_node *nodes, size_t n_nodes)
{
    for (size_t i = 0; i < n_nodes; i++) {
        CHECK(nvl_has_prefix(nodes[i].path, "/dev/") && strstr(nodes[i].path, "..") == NULL);
        nvl_node_check(host->root, &nodes[i]);
        nvl_autofree char *owner = nvl_node_owner(host, &nodes[i]);
    }
}

static void check_grant(const struct nvl_host *host, const char *devices, const char *gpus)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved = {0};

    if (nvl_grant_parse(&grant, devices, gpus, "all", NULL) < 0)
        return;
    nvl_grant_resolve(&grant, host, &resolved);
    for (size_t i = 0; i < resolved.n_gpus; i++)
        for (size_t k = 0; k < i; k++)
            CHECK(resolved.gpus[i].gpu != resolved.gpus[k].gpu ||
                  resolved.gpus[i].mig != resolved.gpus[k].mig);
    check_nodes(host, resolved.nodes, resolved.n_nodes);
    for (size_t i = 0; i < resolved.n_nodes; i++)
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(resolved.nodes[i].path, resolved.nodes[k].path) != 0);
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    nvl_autofree char *devices = fuzz_text(&in);
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_autofree struct nvl_node *nodes = NULL;
    struct nvl_modules modules = {0};
    size_t n_nodes = 0;

    fuzz_tree(&in);
    if (nvl_host_read(&host, fuzz_root(), NVL_GPUS_ALL, NULL) == 0) {
        for (size_t i = 0; i < host.gpus.count; i++)
            check_gpu(&host.gpus, &host.gpus.items[i]);
        nvl_modules_read(fuzz_root(), &modules, NULL);
        nvl_host_nodes(&host, &modules, &nodes, &n_nodes);
        nvl_other_nodes(&host, &nodes, &n_nodes);
        check_nodes(&host, nodes, n_nodes);
        check_grant(&host, devices, NULL);
        check_grant(&host, "void", devices);
    }
    fuzz_clear();
}
