/* nvlxc host: whether this host can serve GPUs to containers, in a few lines. */
#include <errno.h>

#include "cli/command.h"
#include "cli/gpu_nodes.h"
#include "cli/host_status.h"

static void add_node(struct nvl_host_facts *facts, enum nvl_node_kind kind)
{
    struct nvl_node *node = NVL_APPEND(facts->nodes, facts->n_nodes);

    *node = nvl_node_make(kind, 0, false, &facts->host.majors, &facts->host.params);
    nvl_node_check(facts->host.root, node);
}

/* The nodes that NVIDIA's driver should have here: each of its GPUs' own, then those that all share. */
static void look_at_nodes(struct nvl_host_facts *facts)
{
    const struct nvl_gpus *gpus = &facts->host.gpus;

    if (!facts->host.driver.loaded)
        return;
    for (size_t i = 0; i < gpus->count; i++)
        if (gpus->items[i].driver == NVL_GPU_NVIDIA)
            nvl_gpu_nodes(&facts->host, &gpus->items[i], true, &facts->nodes, &facts->n_nodes);
    add_node(facts, NVL_NODE_CTL);
    add_node(facts, NVL_NODE_UVM);
    add_node(facts, NVL_NODE_UVM_TOOLS);
    if (facts->modules.nvidia_modeset)
        add_node(facts, NVL_NODE_MODESET);
}

static int look_at_bundle(struct nvl_host_facts *facts, struct nvl_error *err)
{
    const struct nvl_driver_version *driver = &facts->host.driver;
    nvl_auto(nvl_bundles_clear) struct nvl_bundles bundles = {0};

    int r = nvl_bundles_list(facts->host.root, driver, &facts->userspace, &bundles, err);
    for (size_t i = 0; r >= 0 && i < bundles.count; i++)
        if (strcmp(bundles.items[i].version, driver->version) == 0) {
            facts->bundle_present = true;
            facts->bundle_complete = bundles.items[i].complete;
        }
    return r;
}

static int facts_read(const struct nvl_root *root, struct nvl_host_facts *facts, struct nvl_error *err)
{
    int r = nvl_host_read(&facts->host, root, NVL_GPUS_ALL, err);
    if (r >= 0)
        r = nvl_modules_read(root, &facts->modules, err);
    if (r >= 0)
        r = nvl_userspace_read(root, &facts->userspace, err);
    if (r >= 0 && facts->host.driver.version[0] != '\0')
        r = look_at_bundle(facts, err);
    if (r >= 0)
        look_at_nodes(facts);
    return r;
}

static void facts_clear(struct nvl_host_facts *facts)
{
    nvl_host_clear(&facts->host);
    nvl_userspace_clear(&facts->userspace);
    free(facts->nodes);
}

static json_t *json_driver(const struct nvl_host_facts *facts)
{
    const struct nvl_driver_version *driver = &facts->host.driver;
    json_t *installed = json_array();

    for (size_t i = 0; i < facts->userspace.versions.count; i++)
        json_array_append_new(installed, json_string(facts->userspace.versions.items[i]));
    return json_pack("{s:b,s:o,s:o,s:o}", "loaded", (int)driver->loaded, "version",
                     nvl_json_string(driver->version), "flavour",
                     nvl_json_string(nvl_flavour_name(driver->flavour)), "installed", installed);
}

static json_t *json_modules(const struct nvl_modules *m)
{
    return json_pack("{s:b,s:b,s:b,s:b,s:b,s:b,s:b}", "nvidia", (int)m->nvidia, "nvidia_uvm",
                     (int)m->nvidia_uvm, "nvidia_modeset", (int)m->nvidia_modeset, "nvidia_drm",
                     (int)m->nvidia_drm, "nouveau", (int)m->nouveau, "nova_core", (int)m->nova_core,
                     "vfio_pci", (int)m->vfio_pci);
}

static json_t *json_problems(const struct nvl_findings *findings)
{
    json_t *array = json_array();

    for (size_t i = 0; i < findings->count; i++) {
        const struct nvl_finding *f = &findings->items[i];
        if (f->level == NVL_FINDING_PROBLEM)
            json_array_append_new(array, json_pack("{s:s,s:s,s:o}", "id", f->id, "title", f->title, "fix",
                                                   nvl_json_string(f->fix)));
    }
    return array;
}

static void print_json(const struct nvl_host_facts *facts, const struct nvl_findings *findings)
{
    json_t *nodes = json_array();

    for (size_t i = 0; i < facts->n_nodes; i++)
        json_array_append_new(nodes, nvl_json_node(&facts->nodes[i]));
    json_t *bundle =
        json_pack("{s:o,s:b,s:b}", "version", nvl_json_string(facts->host.driver.version), "present",
                  (int)facts->bundle_present, "complete", (int)facts->bundle_complete);
    nvl_print_json(json_pack("{s:o,s:i,s:o,s:o,s:o,s:o}", "driver", json_driver(facts), "gpus",
                             (int)facts->host.gpus.count, "modules", json_modules(&facts->modules), "nodes",
                             nodes, "bundle", bundle, "problems", json_problems(findings)));
}

static void print_lines(const struct nvl_context *ctx, const struct nvl_findings *findings)
{
    static const char *const words[] = {
        [NVL_FINDING_OK] = "ok", [NVL_FINDING_NOTE] = "note", [NVL_FINDING_PROBLEM] = "problem"};

    for (size_t i = 0; i < findings->count; i++) {
        const struct nvl_finding *f = &findings->items[i];
        nvl_say(ctx, "%-7s  %-9s  %s", words[f->level], f->subject, f->title);
        if (f->fix != NULL)
            nvl_say(ctx, "%20s do: %s", "", f->fix);
    }
}

static int run(struct nvl_context *ctx, const struct nvl_strv *arguments, void *values, struct nvl_error *err)
{
    nvl_auto(facts_clear) struct nvl_host_facts facts = {0};
    nvl_auto(host_findings_clear) struct nvl_findings findings = {0};

    (void)arguments;
    (void)values;
    int r = facts_read(&ctx->root, &facts, err);
    if (r < 0)
        return r;
    nvl_host_judge(&facts, &findings);
    if (ctx->json)
        print_json(&facts, &findings);
    else
        print_lines(ctx, &findings);
    if (facts.host.gpus.count == 0 || !facts.host.driver.loaded)
        return NVL_EXIT_HOST;
    for (size_t i = 0; i < findings.count; i++)
        if (findings.items[i].level == NVL_FINDING_PROBLEM)
            return NVL_EXIT_FAILED;
    return NVL_EXIT_OK;
}

const struct nvl_command nvl_cmd_host = {
    .name = "host",
    .arguments = "",
    .summary = "show the state of this host: driver, modules, device nodes, bundle",
    .details = "Each line is ok, note (worth knowing, nothing to mend) or problem, with what to do below it. "
               "A driver\n"
               "upgrade that waits for its reboot is a note while the bundle of the loaded version is there: "
               "containers\n"
               "keep using that one.\n"
               "\n"
               "Exit status: 0 all is well, 1 something is wrong, 3 there is no NVIDIA GPU or its driver is "
               "not loaded.",
    .run = run,
};
