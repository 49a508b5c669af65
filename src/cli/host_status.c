/* The facts of a host, one line for each subject. */
#include "cli/host_status.h"

#define SUBJECT "%-9s  "

static void add_gpus(const struct nvl_gpus *gpus, struct nvl_strv *lines)
{
    for (size_t i = 0; i < gpus->count; i++) {
        const struct nvl_gpu *gpu = &gpus->items[i];
        nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};
        if (gpu->model[0] != '\0')
            nvl_buf_addf(&text, "%s %s", gpu->pci, gpu->model);
        else
            nvl_buf_addf(&text, "%s (10de:%04x)", gpu->pci, gpu->pci_device);
        if (gpu->driver_name[0] != '\0')
            nvl_buf_addf(&text, ", driven by %s", gpu->driver_name);
        else
            nvl_buf_addf(&text, ", without a driver");
        if (gpu->mig_enabled)
            nvl_buf_addf(&text, ", %zu MIG device%s", gpu->n_migs, gpu->n_migs == 1 ? "" : "s");
        nvl_strv_pushf(lines, SUBJECT "%s", "GPU", text.data);
    }
}

static void add_driver(const struct nvl_host_facts *facts, struct nvl_strv *lines)
{
    const struct nvl_driver_version *driver = &facts->host.driver;
    const char *flavour = nvl_flavour_name(driver->flavour);

    if (!driver->loaded)
        nvl_strv_pushf(lines, SUBJECT "not loaded", "driver");
    else
        nvl_strv_pushf(lines, SUBJECT "%s%s%s%s, loaded", "driver",
                       driver->version[0] != '\0' ? driver->version : "unknown version",
                       flavour != NULL ? " (" : "", flavour != NULL ? flavour : "",
                       flavour != NULL ? ")" : "");
}

static void add_libraries(const struct nvl_host_facts *facts, struct nvl_strv *lines)
{
    nvl_autofree char *list = nvl_strv_join(&facts->userspace.versions, ", ");
    nvl_auto(nvl_strv_clear) struct nvl_strv bundles = {0};

    nvl_strv_pushf(lines, SUBJECT "%s", "libraries", list[0] != '\0' ? list : "none installed");
    for (size_t i = 0; i < facts->bundles.count; i++)
        nvl_strv_push(&bundles, facts->bundles.items[i].version);
    nvl_autofree char *bundle_list = nvl_strv_join(&bundles, ", ");
    nvl_strv_pushf(lines, SUBJECT "%s", "bundles",
                   bundles.count > 0 ? bundle_list
                                     : "none; the first attach makes one, or nvlxc driver sync");
}

static void add_modules(const struct nvl_modules *m, struct nvl_strv *lines)
{
    const struct {
        bool loaded;
        const char *name;
    } modules[] = {
        {m->nvidia, "nvidia"},         {m->nvidia_uvm, "nvidia_uvm"}, {m->nvidia_modeset, "nvidia_modeset"},
        {m->nvidia_drm, "nvidia_drm"}, {m->nouveau, "nouveau"},       {m->nova_core, "nova_core"},
        {m->vfio_pci, "vfio_pci"},
    };
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    for (size_t i = 0; i < NVL_LENGTH(modules); i++)
        if (modules[i].loaded)
            nvl_strv_push(&names, modules[i].name);
    nvl_autofree char *list = nvl_strv_join(&names, ", ");
    if (names.count > 0)
        nvl_strv_pushf(lines, SUBJECT "%s", "modules", list);
}

static void add_nodes(const struct nvl_host_facts *facts, struct nvl_strv *lines)
{
    size_t well = 0;

    for (size_t i = 0; i < facts->n_nodes; i++)
        well += facts->nodes[i].state == NVL_NODE_OK;
    if (facts->n_nodes > 0)
        nvl_strv_pushf(lines, SUBJECT "%zu of %zu device nodes are as they should be", "nodes", well,
                       facts->n_nodes);
}

void nvl_host_status(const struct nvl_host_facts *facts, struct nvl_strv *lines)
{
    add_gpus(&facts->host.gpus, lines);
    add_driver(facts, lines);
    if (facts->host.driver.loaded)
        add_libraries(facts, lines);
    add_modules(&facts->modules, lines);
    add_nodes(facts, lines);
}
