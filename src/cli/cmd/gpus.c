/* nvlxc gpus: which GPUs this host has, what drives each, which device nodes belong to it and which
 * containers have it. */
#include <ctype.h>
#include <errno.h>

#include "base/printable.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "container/holding.h"
#include "container/gpu_use.h"
#include "grant/resolve.h"
#include "host/gpu_claims.h"
#include "host/gpu_nodes.h"
#include "host/gpu_reason.h"
#include "host/gpu_state.h"
#include "cli/table.h"
#include "cli/ways.h"

/* A container and what it has of this host's GPUs. */
struct holder {
    char *name;
    struct nvl_holding holding;
};

struct holders {
    struct holder *items;
    size_t count;
    bool known;                /* the containers could be looked for */
    struct nvl_vm_devices vms; /* what virtual machines claim */
};

static void holders_clear(struct holders *holders)
{
    for (size_t i = 0; i < holders->count; i++) {
        free(holders->items[i].name);
        nvl_holding_clear(&holders->items[i].holding);
    }
    free(holders->items);
    nvl_vm_devices_clear(&holders->vms);
    *holders = (struct holders){0};
}

/* A config that cannot be read or parsed costs a warning, not the listing. */
static void add_gpu_holder(struct nvl_host *host, const struct nvl_containers *containers,
                           const struct nvl_container *c, struct holders *holders)
{
    struct nvl_holding holding;
    struct nvl_error err = {0};

    if (nvl_holding_read(c, host, &holding, &err) < 0) {
        nvl_warn("%s", err.message);
        return;
    }
    if (!holding.is_by_hand)
        nvl_mark_gpus_used(host->root, c, &holding.grant, &host->gpus);
    if (holding.resolved.n_gpus == 0) {
        nvl_holding_clear(&holding);
        return;
    }
    *NVL_APPEND(holders->items, holders->count) =
        (struct holder){.name = nvl_container_full_name(containers, c), .holding = holding};
}

static void holders_find(struct nvl_host *host, struct holders *holders)
{
    nvl_auto(nvl_containers_clear) struct nvl_containers containers = {0};
    struct nvl_error err = {0};

    if (nvl_containers_find(host->root, false, &containers, &err) < 0) {
        nvl_warn("cannot tell which containers have a GPU: %s", err.message);
        return;
    }
    holders->known = true;
    nvl_warn_all(&containers.unread);
    nvl_vm_devices_read(host->root, &holders->vms);
    for (size_t i = 0; i < containers.count; i++) {
        nvl_autofree struct nvl_container *c = nvl_container_at(&containers, i);
        add_gpu_holder(host, &containers, c, holders);
    }
}

/* The two capability nodes of one MIG device. */
static void mig_nodes(const struct nvl_host *host, const struct nvl_mig *mig, struct nvl_node nodes[2])
{
    nodes[0] = nvl_node_make(NVL_NODE_CAP, mig->gi_minor, false, &host->majors, &host->params);
    nodes[1] = nvl_node_make(NVL_NODE_CAP, mig->ci_minor, false, &host->majors, &host->params);
    for (size_t i = 0; i < 2; i++)
        nvl_node_check(host->root, &nodes[i]);
}

/* The form that --gpu takes and /proc resolves; NULL if the GPU's own UUID is unknown. */
static json_t *json_migs(const struct nvl_host *host, const struct nvl_gpu *gpu)
{
    json_t *array = json_array();

    for (size_t i = 0; i < gpu->n_migs; i++) {
        struct nvl_node nodes[2];
        json_t *mig = nvl_json_mig_device(gpu, &gpu->migs[i]);
        mig_nodes(host, &gpu->migs[i], nodes);
        json_object_set_new(mig, "nodes", nvl_json_nodes(nodes, NVL_LENGTH(nodes)));
        json_array_append_new(array, mig);
    }
    return array;
}

static json_t *json_holders(const struct holders *holders, const struct nvl_gpu *gpu)
{
    if (!holders->known)
        return json_null();
    json_t *array = json_array();
    for (size_t i = 0; i < holders->count; i++)
        if (nvl_holding_has(&holders->items[i].holding, gpu, NULL))
            json_array_append_new(array,
                                  json_pack("{s:o,s:b}", "container", nvl_json_text(holders->items[i].name),
                                            "by_hand", (int)holders->items[i].holding.is_by_hand));
    return array;
}

static json_t *json_vms(const struct holders *holders, const struct nvl_gpu *gpu)
{
    nvl_auto(nvl_claims_clear) struct nvl_claims claims = {0};
    json_t *array = holders->known ? json_array() : json_null();

    nvl_vm_claims_read(&holders->vms, gpu, &claims);
    for (size_t i = 0; i < claims.count; i++) {
        const struct nvl_vm_device *vm = claims.items[i].vm;
        if (!vm->goes)
            json_array_append_new(array, json_pack("{s:s,s:b,s:b}", "vm", vm->vm, "running", (int)vm->runs,
                                                   "starts_at_boot", (int)vm->starts_at_boot));
    }
    return array;
}

static json_t *json_gpu(const struct nvl_host *host, const struct nvl_gpu *gpu, const struct holders *holders)
{
    nvl_autofree struct nvl_node *nodes = NULL;
    size_t n_nodes = 0;

    nvl_gpu_nodes(host, gpu, false, &nodes, &n_nodes);
    json_t *json = nvl_json_gpu(gpu);
    json_object_set_new(json, "nodes", nvl_json_nodes(nodes, n_nodes));
    json_object_set_new(json, "mig_devices", json_migs(host, gpu));
    json_object_set_new(json, "containers", json_holders(holders, gpu));
    json_object_set_new(json, "virtual_machines", json_vms(holders, gpu));
    json_object_set_new(json, "virtual_functions", json_integer(gpu->n_functions));
    return json;
}

/* "nvidia0, dri/card1 (missing)"; NULL for none. In short "ok", or what is wrong. */
static char *nodes_cell(const struct nvl_node *nodes, size_t n_nodes, bool is_whole)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    for (size_t i = 0; i < n_nodes; i++) {
        const char *name = nodes[i].path + strlen("/dev/");
        if (nvl_has_prefix(name, "nvidia-caps/"))
            name += strlen("nvidia-caps/");
        if (nodes[i].state == NVL_NODE_OK && is_whole)
            nvl_strv_push(&names, name);
        else if (nodes[i].state != NVL_NODE_OK)
            nvl_strv_pushf(&names, "%s (%s)", name, nvl_node_state_name(nodes[i].state));
    }
    if (names.count == 0 && n_nodes > 0)
        return nvl_xstrdup("ok");
    return names.count > 0 ? nvl_strv_join(&names, ", ") : NULL;
}

static char *holders_cell(const struct holders *holders, const struct nvl_gpu *gpu, const struct nvl_mig *mig)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_auto(nvl_claims_clear) struct nvl_claims claims = {0};

    if (!holders->known)
        return nvl_xstrdup("?");
    for (size_t i = 0; i < holders->count; i++)
        if (nvl_holding_has(&holders->items[i].holding, gpu, mig))
            nvl_strv_pushf(&names, "%s%s", holders->items[i].name,
                           holders->items[i].holding.is_by_hand ? " (by hand)" : "");
    if (mig == NULL)
        nvl_vm_claims_read(&holders->vms, gpu, &claims);
    for (size_t i = 0; i < claims.count; i++)
        if (!claims.items[i].vm->goes)
            nvl_strv_pushf(&names, "VM %s", claims.items[i].vm->vm);
    return names.count > 0 ? nvl_strv_join(&names, ", ") : NULL;
}

/* "nvidia", with a word if the other columns do not show what is wrong: "nvidia (lost)"; NULL for none. */
static char *driver_cell(const struct nvl_gpu *gpu)
{
    nvl_autofree char *remark = nvl_gpu_remark(gpu);
    const char *driver = gpu->driver_name[0] != '\0' ? gpu->driver_name : "none";

    if (remark != NULL)
        return nvl_xasprintf("%s (%s)", driver, remark);
    return gpu->driver_name[0] != '\0' ? nvl_xstrdup(driver) : NULL;
}

/* What every list leads with; --wide adds the rest. */
static const char *const narrow_columns[] = {"INDEX", "MODEL", "CONTAINERS", "DRIVER", "PCI", "NODES", NULL};
static const char *const wide_columns[] = {"INDEX", "MODEL", "CONTAINERS", "DRIVER",
                                           "PCI",   "UUID",  "NODES",      NULL};

static enum nvl_style style_of_gpu(const struct nvl_gpu *gpu)
{
    enum nvl_gpu_state state = nvl_gpu_state(gpu);

    return state == NVL_GPU_IS_USABLE || state == NVL_GPU_IS_MIG || state == NVL_GPU_IS_UNUSED ? NVL_GOOD
           : state == NVL_GPU_IS_SILENT || state == NVL_GPU_IS_LOST                            ? NVL_WRONG
                                                                                               : NVL_CAREFUL;
}

static enum nvl_style style_of_nodes(const struct nvl_node *nodes, size_t n_nodes)
{
    for (size_t i = 0; i < n_nodes; i++)
        if (nodes[i].state != NVL_NODE_OK)
            return NVL_WRONG;
    return n_nodes > 0 ? NVL_GOOD : NVL_PLAIN;
}

static void add_gpu_row(struct nvl_table *table, bool is_wide, const char *const *wide)
{
    const char *const narrow[] = {wide[0], wide[1], wide[2], wide[3], wide[4], wide[6]};

    nvl_table_row(table, is_wide ? wide : narrow);
}

static void gpu_row(struct nvl_table *table, bool is_wide, const struct nvl_host *host,
                    const struct nvl_gpu *gpu, const struct holders *holders)
{
    nvl_autofree struct nvl_node *nodes = NULL;
    size_t n_nodes = 0;

    nvl_gpu_nodes(host, gpu, false, &nodes, &n_nodes);
    nvl_autofree char *index = gpu->index >= 0 ? nvl_xasprintf("%d", gpu->index) : NULL;
    /* what lspci -nn shows, if no driver of NVIDIA's gives the name */
    nvl_autofree char *model =
        gpu->model[0] != '\0' ? nvl_xstrdup(gpu->model) : nvl_xasprintf("PCI 10de:%04x", gpu->pci_device);
    nvl_autofree char *driver = driver_cell(gpu), *names = holders_cell(holders, gpu, NULL);
    nvl_autofree char *node_names = nodes_cell(nodes, n_nodes, is_wide);
    const char *cells[] = {index,     model, names, driver, gpu->pci, gpu->uuid[0] != '\0' ? gpu->uuid : NULL,
                           node_names};
    add_gpu_row(table, is_wide, cells);
    nvl_table_style(table, 3, style_of_gpu(gpu));
    nvl_table_style(table, is_wide ? 6 : 5, style_of_nodes(nodes, n_nodes));
}

static void mig_row(struct nvl_table *table, bool is_wide, const struct nvl_host *host,
                    const struct nvl_gpu *gpu, const struct nvl_mig *mig, const struct holders *holders)
{
    struct nvl_node nodes[2];

    mig_nodes(host, mig, nodes);
    nvl_autofree char *name = nvl_xasprintf("  MIG GI %u, CI %u", mig->gi, mig->ci);
    nvl_autofree char *uuid = nvl_mig_uuid(gpu, mig), *names = holders_cell(holders, gpu, mig);
    nvl_autofree char *node_names = nodes_cell(nodes, NVL_LENGTH(nodes), is_wide);
    const char *cells[] = {"", name, names, "", "", uuid, node_names};
    add_gpu_row(table, is_wide, cells);
    nvl_table_style(table, is_wide ? 6 : 5, style_of_nodes(nodes, NVL_LENGTH(nodes)));
}

static void print_gpus_table(const struct nvl_context *ctx, bool is_wide, const struct nvl_host *host,
                             const struct holders *holders)
{
    struct nvl_table *table = nvl_table_new(is_wide ? wide_columns : narrow_columns);
    bool has_mig = false;

    for (size_t i = 0; i < host->gpus.count; i++) {
        const struct nvl_gpu *gpu = &host->gpus.items[i];
        if (nvl_gpu_state(gpu) == NVL_GPU_IS_VIRTUAL)
            continue; /* a card has dozens, and none is a GPU: its row counts them */
        gpu_row(table, is_wide, host, gpu, holders);
        for (size_t j = 0; j < gpu->n_migs; j++)
            mig_row(table, is_wide, host, gpu, &gpu->migs[j], holders);
        has_mig |= gpu->n_migs > 0;
    }
    nvl_table_print(table, stdout);
    nvl_table_free(table);
    if (has_mig && !is_wide)
        nvl_say_fact(ctx, "", "nvlxc gpus --wide has the names of MIG devices for attach --gpu");
}

static int print_gpus_json(const struct nvl_host *host, const struct holders *holders)
{
    json_t *gpus = json_array();

    for (size_t i = 0; i < host->gpus.count; i++)
        if (nvl_gpu_state(&host->gpus.items[i]) != NVL_GPU_IS_VIRTUAL)
            json_array_append_new(gpus, json_gpu(host, &host->gpus.items[i], holders));
    return nvl_print_json(json_pack("{s:o}", "gpus", gpus));
}

/* ---- nodes ---- */

/* The capabilities that bring the node: what a grant of all GPUs with only that one resolves to. */
static unsigned capabilities_of(const struct nvl_host *host, const char *path)
{
    unsigned capabilities = 0;

    for (unsigned bit = 1; bit <= NVL_CAP_ALL; bit <<= 1) {
        const struct nvl_grant grant = {.devices = NVL_DEVICES_ALL, .capabilities = bit};
        nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved = {0};
        nvl_grant_resolve(&grant, host, &resolved);
        for (size_t i = 0; i < resolved.n_nodes; i++)
            if (strcmp(resolved.nodes[i].path, path) == 0)
                capabilities |= bit;
    }
    return capabilities;
}

/* "compute,video", "--with gdrcopy"; NULL for what no grant brings. */
static char *brought_by(unsigned capabilities, const char *path)
{
    struct nvl_with_place place;

    if (capabilities != 0)
        return nvl_capabilities_format(capabilities);
    return nvl_with_find(path, &place) ? nvl_xasprintf("--with %s", place.name) : NULL;
}

static void node_row(struct nvl_table *table, const struct nvl_host *host, const struct nvl_node *node)
{
    nvl_autofree char *path = nvl_make_printable(nvl_xstrdup(node->path));
    nvl_autofree char *number =
        node->major >= 0 ? nvl_xasprintf("%d:%d", node->major, node->minor) : nvl_xstrdup("-");
    nvl_autofree char *owner = nvl_node_owner(host, node);
    nvl_autofree char *needed_by = brought_by(capabilities_of(host, node->path), node->path);
    const char *purpose = nvl_node_purpose(node->path);
    bool is_gpu = node->kind == NVL_NODE_GPU || node->kind == NVL_NODE_CAP;
    nvl_autofree char *text = owner == NULL ? nvl_xstrdup(purpose)
                              : is_gpu      ? nvl_xstrdup(owner)
                                            : nvl_xasprintf("%s: %s", owner, purpose);
    const char *cells[] = {path, number, nvl_node_state_name(node->state), text, needed_by};

    nvl_table_row(table, cells);
    nvl_table_style(table, 2, node->state == NVL_NODE_OK ? NVL_GOOD : NVL_WRONG);
}

static json_t *json_node_with_purpose(const struct nvl_host *host, const struct nvl_node *node)
{
    unsigned capabilities = capabilities_of(host, node->path);
    nvl_autofree char *owner = nvl_node_owner(host, node);
    struct nvl_with_place place;
    json_t *json = nvl_json_node(node);

    json_object_set_new(json, "purpose", json_string(nvl_node_purpose(node->path)));
    json_object_set_new(json, "owner", nvl_json_string(owner));
    json_object_set_new(json, "capabilities", nvl_json_capabilities(capabilities));
    json_t *with = json_array();
    if (nvl_with_find(node->path, &place))
        json_array_append_new(with, json_string(place.name));
    json_object_set_new(json, "with", with);
    return json;
}

static int show_nodes(struct nvl_context *ctx, const struct nvl_host *host, struct nvl_error *err)
{
    static const char *const columns[] = {"NODE", "NUMBER", "STATE", "FOR", "CAPABILITIES", NULL};
    nvl_autofree struct nvl_node *nodes = NULL;
    struct nvl_modules modules;
    size_t n_nodes = 0;

    int r = nvl_modules_read(host->root, &modules, err);
    if (r < 0)
        return r;
    nvl_host_nodes(host, &modules, &nodes, &n_nodes);
    nvl_other_nodes(host, &nodes, &n_nodes);
    if (ctx->json) {
        json_t *array = json_array();
        for (size_t i = 0; i < n_nodes; i++)
            json_array_append_new(array, json_node_with_purpose(host, &nodes[i]));
        return nvl_print_json(json_pack("{s:o}", "nodes", array));
    }
    struct nvl_table *table = nvl_table_new(columns);
    for (size_t i = 0; i < n_nodes; i++)
        node_row(table, host, &nodes[i]);
    if (n_nodes == 0)
        nvl_say(ctx, "There is no device node of NVIDIA's: its driver is not loaded.");
    else if (!ctx->quiet)
        nvl_table_print(table, stdout);
    nvl_table_free(table);
    return NVL_EXIT_OK;
}

struct gpus_values {
    bool nodes, wide, cluster;
};

static const struct nvl_option gpus_options[] = {
    {"--nodes", NULL, "list the device nodes instead: what each is for, and what brings it", NVL_OPTION_FLAG,
     offsetof(struct gpus_values, nodes)},
    {"--wide", NULL, "also show UUIDs, and the device nodes of each GPU", NVL_OPTION_FLAG,
     offsetof(struct gpus_values, wide)},
    {"--cluster", NULL, "list the GPUs of all nodes of the Proxmox cluster", NVL_OPTION_FLAG,
     offsetof(struct gpus_values, cluster)},
    {0},
};

static void say_absence(const struct nvl_context *ctx)
{
    const char *hint;
    nvl_autofree char *absence = nvl_gpu_absence(&ctx->root, &hint);

    absence[0] = (char)toupper(absence[0]);
    nvl_say(ctx, "%s%s%s.", absence, hint != NULL ? ".\n" : "", hint != NULL ? hint : "");
}

static int run_gpus(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                    struct nvl_error *err)
{
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_auto(holders_clear) struct holders holders = {0};
    const struct gpus_values *values = data;

    (void)arguments;
    if (values->nodes && values->cluster)
        return nvl_error_usage(err, "gpus: --nodes and --cluster exclude each other");
    if (values->cluster)
        return nvl_gpus_of_cluster(ctx, values->wide, err);
    int r = nvl_host_read(&host, &ctx->root, NVL_GPUS_ALL, err);
    if (r < 0)
        return r;
    if (values->nodes)
        return show_nodes(ctx, &host, err);
    if (host.gpus.count > 0)
        holders_find(&host, &holders);
    if (ctx->json)
        print_gpus_json(&host, &holders);
    else if (host.gpus.count == 0)
        say_absence(ctx);
    else if (!ctx->quiet)
        print_gpus_table(ctx, values->wide, &host, &holders);
    nvl_say_driver_notes(ctx, &host);
    return host.gpus.count == 0 || holders.known ? NVL_EXIT_OK : NVL_EXIT_FAILED;
}

static const struct nvl_example gpus_examples[] = {
    {"gpus", "index, model and state of each GPU, and who has it"},
    {"gpus --wide", "also UUIDs and device nodes"},
    {"gpus --nodes", "every device node, and what brings it"},
    {"gpus --cluster", "the GPUs of all nodes of a Proxmox cluster"},
    {"--json gpus | jq -r '.gpus[].uuid'", "the UUIDs, for a script"},
    {0},
};

const struct nvl_command nvl_cmd_gpus = {
    .name = "gpus",
    .arguments = "",
    .group = NVL_GROUP_WATCH,
    .summary = "list GPUs, their device nodes and their containers",
    .details = "INDEX counts the GPUs that NVIDIA's driver drives, in PCI bus order, as\n"
               "nvidia-smi does; it may differ from the number of the device node. `attach\n"
               "--gpu` takes INDEX, UUID or PCI.\n"
               "\n"
               "NODES are the GPU's own: ok, or those with which something is wrong: missing,\n"
               "not a device, stale (not the driver's current number), mode. --wide has all, and\n"
               "the UUIDs.\n"
               "\n"
               "--nodes lists every device node of NVIDIA's: of the GPUs, those that all of them\n"
               "share, and those of other modules; what each is for, and the capabilities of a\n"
               "grant that bring it.\n"
               "\n"
               "MIG devices follow their GPU. Their UUID has the form MIG-GPU-UUID/GI/CI, since\n"
               "only NVIDIA's library knows the one that nvidia-smi shows. `attach --gpu` takes\n"
               "both.\n"
               "\n"
               "--cluster lists what the nodes of the Proxmox cluster publish (`nvlxc host\n"
               "publish`, which runs at boot), and of this node what it has now; the containers\n"
               "and virtual machines are those of all nodes' configs.\n"
               "\n"
               "On a host without an NVIDIA GPU the list is empty, which is not an error.",
    .examples = gpus_examples,
    .options = gpus_options,
    .values_size = sizeof(struct gpus_values),
    .run = run_gpus,
};
