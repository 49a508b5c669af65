/* Prints what the nodes of a cluster have of GPUs, and where a container would have its own. */
#include "cli/cluster.h"

#include <errno.h>

#include "cli/table.h"
#include "cluster/fit.h"
#include "cluster/moves.h"
#include "cluster/publish.h"
#include "cluster/view.h"
#include "container/target.h"
#include "host/gpu_state.h"

#define WAIT_MAX 86400

int nvl_cluster_view_open(const struct nvl_context *ctx, struct nvl_cluster_view *v, struct nvl_error *err)
{
    int r = nvl_cluster_view_read(&ctx->root, v, err);

    if (r == 0)
        nvl_warn_all(&v->warnings);
    return r;
}

int nvl_cluster_names_read(const struct nvl_context *ctx, struct nvl_cluster_names *names,
                           struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv remarks = {0};
    nvl_auto(nvl_members_clear) struct nvl_members members = {0};
    int r = nvl_members_read(&ctx->root, &members, err);

    if (r == -EACCES) { /* a user sees his own containers all the same */
        nvl_warn("%s", err->message);
        return 0;
    }
    if (r < 0)
        return r;
    names->here = TAKE_PTR(members.here);
    if (members.count > 0)
        nvl_members_removed(&ctx->root, &members, &names->removed);
    else
        nvl_warn("this host is in no Proxmox cluster: --cluster adds nothing");
    nvl_cluster_remarks(&ctx->root, &names->removed, &remarks);
    nvl_warn_all(&remarks);
    return 0;
}

void nvl_cluster_names_clear(struct nvl_cluster_names *names)
{
    free(names->here);
    nvl_strv_clear(&names->removed);
}

/* ---- gpus ---- */

static char *memory_cell(const struct nvl_gpu *gpu)
{
    char size[16];

    if (gpu->memory == 0)
        return NULL;
    nvl_format_size(gpu->memory, size, sizeof size);
    return nvl_xstrdup(size);
}

static void gpu_rows(struct nvl_table *table, const struct nvl_cluster_view *v,
                     const struct nvl_cluster_node *node, const struct nvl_gpu *gpu)
{
    for (size_t i = 0; i < gpu->n_migs + 1; i++) {
        const struct nvl_mig *mig = i > 0 ? &gpu->migs[i - 1] : NULL;
        nvl_auto(nvl_strv_clear) struct nvl_strv holders = {0};
        nvl_cluster_holders(&v->guests, node, gpu, mig, &holders);
        nvl_autofree char *index = gpu->index >= 0 ? nvl_xasprintf("%d", gpu->index) : NULL,
                          *memory = memory_cell(gpu), *names = nvl_strv_join(&holders, ", "),
                          *uuid = mig != NULL ? nvl_mig_uuid(gpu, mig) : nvl_xstrdup(gpu->uuid),
                          *model = mig != NULL ? nvl_xasprintf("  MIG GI %u, CI %u", mig->gi, mig->ci)
                                   : gpu->model[0] != '\0' ? nvl_xstrdup(gpu->model)
                                                           : nvl_xasprintf("PCI 10de:%04x", gpu->pci_device);
        const char *driver = gpu->driver == NVL_GPU_NVIDIA ? node->host.driver.version : gpu->driver_name,
                   *who = names[0] != '\0' ? names : NULL, *state = nvl_gpu_state_name(nvl_gpu_state(gpu));
        const char *const plain[] = {node->name, index, model, memory, who, driver, state, gpu->pci, uuid};
        const char *const part[] = {"", "", model, "", who, "", "", "", uuid};
        nvl_table_row(table, mig != NULL ? part : plain);
    }
}

static void say_cluster_nodes(const struct nvl_context *ctx, const struct nvl_cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        const struct nvl_cluster_node *node = &cluster->nodes[i];
        nvl_autofree char *silence = node->file != NVL_NODE_FILE_GOOD ? nvl_cluster_node_silence(node) : NULL;
        if (silence != NULL)
            nvl_say_fact(ctx, "", "%s", silence);
        else if (node->is_outdated)
            nvl_say_fact(ctx, "",
                         "%s publishes something else than what it has now: run `nvlxc host publish`",
                         node->name);
        else if (node->host.gpus.count == 0)
            nvl_say_fact(ctx, "", "%s has no GPU of NVIDIA's", node->name);
        if (!node->is_online && node->is_known)
            nvl_say_fact(ctx, "", "%s is offline; this is what it had on %.10s", node->name, node->when);
    }
}

static void print_cluster_gpus(const struct nvl_context *ctx, bool is_wide, const struct nvl_cluster_view *v)
{
    static const char *const narrow[] = {"NODE",   "INDEX", "MODEL", "MEMORY", "CONTAINERS",
                                         "DRIVER", "STATE", "PCI",   NULL};
    static const char *const wide[] = {"NODE",   "INDEX", "MODEL", "MEMORY", "CONTAINERS",
                                       "DRIVER", "STATE", "PCI",   "UUID",   NULL};
    struct nvl_table *table = nvl_table_new(is_wide ? wide : narrow);

    for (size_t i = 0; i < v->cluster.count; i++)
        for (size_t g = 0; g < v->cluster.nodes[i].host.gpus.count; g++)
            if (nvl_gpu_state(&v->cluster.nodes[i].host.gpus.items[g]) != NVL_GPU_IS_VIRTUAL)
                gpu_rows(table, v, &v->cluster.nodes[i], &v->cluster.nodes[i].host.gpus.items[g]);
    if (!ctx->quiet)
        nvl_table_print(table, stdout);
    nvl_table_free(table);
    say_cluster_nodes(ctx, &v->cluster);
}

int nvl_gpus_of_cluster(const struct nvl_context *ctx, bool is_wide, struct nvl_error *err)
{
    nvl_auto(nvl_cluster_view_clear) struct nvl_cluster_view v = {0};
    int r = nvl_cluster_view_open(ctx, &v, err);

    if (r < 0)
        return r;
    if (!ctx->json) {
        print_cluster_gpus(ctx, is_wide, &v);
        return NVL_EXIT_OK;
    }
    json_t *nodes = json_array();
    for (size_t i = 0; i < v.cluster.count; i++) {
        json_t *node = nvl_cluster_node_json(&v, &v.cluster.nodes[i]);
        json_object_set_new(node, "gpus", nvl_cluster_gpus_json(&v, &v.cluster.nodes[i]));
        json_array_append_new(nodes, node);
    }
    return nvl_print_json(nvl_cluster_json(&v, nodes));
}

/* ---- show ---- */

/* What the container has there, or why not. */
static char *fit_text(const struct nvl_fit *fit)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv gpus = {0};

    if (fit->reasons.count > 0)
        return nvl_strv_join(&fit->reasons, "; ");
    for (size_t i = 0; i < fit->resolved.n_gpus; i++) {
        nvl_autofree char *text = nvl_holding_gpu_text(&fit->resolved.gpus[i]);
        nvl_strv_push(&gpus, text);
    }
    return nvl_strv_join(&gpus, ", ");
}

static enum nvl_style style_of_verdict(enum nvl_fit_verdict verdict)
{
    return verdict == NVL_FIT_RUNS ? NVL_GOOD : verdict == NVL_FIT_NOT ? NVL_WRONG : NVL_CAREFUL;
}

static void add_fit(struct nvl_table *table, json_t *nodes, const struct nvl_cluster_view *v,
                    const struct nvl_cluster_guest *guest, const struct nvl_cluster_node *node,
                    const struct nvl_fit *fit, unsigned moves)
{
    if (nodes != NULL) {
        json_t *json = nvl_cluster_node_json(v, node);
        json_object_set_new(json, "runs", json_string(nvl_fit_verdict_name(fit->verdict)));
        json_object_set_new(json, "reasons", nvl_json_strings(&fit->reasons));
        json_object_set_new(json, "moves_by", nvl_json_string(nvl_move_text(moves)));
        json_array_append_new(nodes, json);
        return;
    }
    nvl_autofree char *text = fit_text(fit);
    const char *by = node == guest->node ? "is there" : moves != 0 ? nvl_move_text(moves) : NULL;
    nvl_table_row(table, (const char *const[]){node->name, nvl_fit_verdict_name(fit->verdict), by, text});
    nvl_table_style(table, 1, style_of_verdict(fit->verdict));
}

/* Each node in turn, as a row or an element. Returns the exit status. */
static int judge_nodes(const struct nvl_cluster_view *v, const struct nvl_cluster_guest *guest,
                       const struct nvl_moves *moves, struct nvl_table *table, json_t *nodes)
{
    int status = NVL_EXIT_OK;

    for (size_t i = 0; i < v->cluster.count; i++) {
        const struct nvl_cluster_node *node = &v->cluster.nodes[i];
        nvl_auto(nvl_fit_clear) struct nvl_fit fit = {0};
        nvl_cluster_fit(&v->guests, guest, node, &fit);
        add_fit(table, nodes, v, guest, node, &fit,
                node != guest->node ? nvl_moves_to(moves, guest->container->name, node->name) : 0);
        if (node == guest->node && fit.verdict == NVL_FIT_NOT)
            status = NVL_EXIT_FAILED;
    }
    return status;
}

static int print_fit(const struct nvl_context *ctx, const struct nvl_cluster_view *v,
                     const struct nvl_cluster_guest *guest, const struct nvl_moves *moves)
{
    static const char *const columns[] = {"NODE", "RUNS", "MOVES BY", "WHY", NULL};
    nvl_autofree char *devices = nvl_grant_devices(&guest->holding.grant),
                      *words = nvl_capabilities_format(guest->holding.grant.capabilities);

    if (ctx->json) {
        json_t *nodes = json_array();
        int status = judge_nodes(v, guest, moves, NULL, nodes);
        json_t *json = nvl_cluster_json(v, nodes);
        json_object_set_new(json, "container", nvl_json_text(guest->name));
        json_object_set_new(json, "cluster_node", json_string(guest->node->name));
        json_object_set_new(json, "grant", nvl_json_grant(&guest->holding.grant));
        nvl_print_json(json);
        return status;
    }
    nvl_say_fact(ctx, "", "%s (Proxmox CT, on %s): %s; %s", guest->name, guest->node->name, devices, words);
    struct nvl_table *table = nvl_table_new(columns);
    int status = judge_nodes(v, guest, moves, table, NULL);
    if (!ctx->quiet)
        nvl_table_print(table, stdout);
    nvl_table_free(table);
    return status;
}

int nvl_show_in_cluster(const struct nvl_context *ctx, const char *name, struct nvl_error *err)
{
    nvl_auto(nvl_cluster_view_clear) struct nvl_cluster_view v = {0};
    nvl_auto(nvl_moves_clear) struct nvl_moves moves = {0};
    const struct nvl_cluster_guest *guest = NULL;
    int r = nvl_cluster_view_open(ctx, &v, err);

    if (r == 0)
        r = nvl_cluster_guest_by_name(&v.cluster, &v.guests, name, &guest, err);
    if (r == 0)
        r = nvl_moves_read(&ctx->root, &moves, err);
    return r < 0 ? r : print_fit(ctx, &v, guest, &moves);
}

/* ---- host publish ---- */

int nvl_host_publish(const struct nvl_context *ctx, const char *wait, bool dry_run, struct nvl_error *err)
{
    static const char *const said[] = {
        [NVL_PUBLICATION_NONE] = "this host is in no Proxmox cluster, so there is nobody to publish for",
        [NVL_PUBLICATION_SAME] = "this node's file says already what it has",
        [NVL_PUBLICATION_NEW] = "published what this node has"};
    enum nvl_publication what;
    uint64_t seconds = 0;

    if (wait != NULL && nvl_parse_uint(wait, 10, WAIT_MAX, &seconds) < 0)
        return nvl_error_usage(err, "host publish: --wait takes seconds, at most %d, not '%s'", WAIT_MAX,
                               wait);
    int r = nvl_publish(&ctx->root, (unsigned)seconds, dry_run, &what, err);
    if (r < 0)
        return r;
    if (ctx->json)
        return nvl_print_json(json_pack("{s:b,s:b,s:b}", "dry_run", (int)dry_run, "changed",
                                        (int)(what == NVL_PUBLICATION_NEW), "is_in_cluster",
                                        (int)(what != NVL_PUBLICATION_NONE)));
    nvl_say_fact(ctx, "", "%s",
                 dry_run && what == NVL_PUBLICATION_NEW ? "would publish what this node has" : said[what]);
    return NVL_EXIT_OK;
}
