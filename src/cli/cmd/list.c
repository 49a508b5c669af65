/* nvlxc list: the containers that have a grant, or NVIDIA lines by hand. */
#include <errno.h>
#include <stdio.h>

#include "base/printable.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "container/owned_lines.h"
#include "container/target.h"
#include "grant/resolve.h"
#include "host/gpu_state.h"
#include "cli/table.h"

struct list_values {
    bool cluster, names, wide;
};

static const struct nvl_option list_options[] = {
    {"--names", NULL, "print only the names of containers with a grant, one a line, for scripts",
     NVL_OPTION_FLAG, offsetof(struct list_values, names)},
    {"--wide", NULL, "show whole UUIDs on a terminal, too", NVL_OPTION_FLAG,
     offsetof(struct list_values, wide)},
    {"--cluster", NULL, "include the CTs of the other Proxmox nodes", NVL_OPTION_FLAG,
     offsetof(struct list_values, cluster)},
    {0},
};

/* Where the rows go. */
struct listing {
    struct nvl_context *ctx;
    struct nvl_table *table; /* NULL: JSON, printed as it comes */
    bool cluster, names;
    struct nvl_cluster_names nodes;
    bool is_short; /* GPUs by their index and model: a UUID says nothing to people */
    struct nvl_gpus gpus;
    struct nvl_host host; /* read for the first grant that a start decides */
    bool has_host;
    struct nvl_running running;
    size_t shown;
};

/* What one container has. */
struct row {
    const struct nvl_container *c;
    const char *name, *hostname;   /* NULL: it has none beside its name */
    const struct nvl_grant *grant; /* NULL: only lines by hand */
    bool by_hand, running;
};

static json_t *json_row(const struct row *row)
{
    const struct nvl_container *c = row->c;

    return json_pack("{s:o,s:s,s:o,s:o,s:o,s:o,s:b}", "container", nvl_json_text(row->name), "kind",
                     nvl_container_kind_name(c), "cluster_node", nvl_json_string(c->node), "user",
                     nvl_json_string(c->user), "running",
                     c->node != NULL ? json_null() : json_boolean(row->running), "grant",
                     nvl_json_grant(row->grant), "by_hand", (int)row->by_hand);
}

/* As json_dumpf writes it, but two levels deeper. */
static int write_deeper(const char *text, size_t len, void *to)
{
    for (size_t i = 0; i < len; i++) {
        putc(text[i], to);
        if (text[i] == '\n')
            fputs("    ", to);
    }
    return 0;
}

/* What nvl_print_json would print, element by element: the whole list is never in memory. */
static void begin_json(void)
{
    printf("{\n  \"format\": %d,\n  \"containers\": [", NVL_JSON_FORMAT);
}

static void print_list_element(json_t *element, bool is_first)
{
    fputs(is_first ? "\n    " : ",\n    ", stdout);
    json_dump_callback(element, write_deeper, stdout, JSON_INDENT(2));
    json_decref(element);
}

static void end_json(bool is_empty)
{
    puts(is_empty ? "]\n}" : "\n  ]\n}");
}

static const char *short_model(const struct nvl_gpu *gpu)
{
    const char *model = gpu->model + (nvl_has_prefix(gpu->model, "NVIDIA ") ? strlen("NVIDIA ") : 0);

    return model[0] != '\0' ? model : gpu->pci;
}

/* "0: RTX A5500 Laptop GPU"; what is no GPU of this host stays as it is. */
static void name_selector(const struct nvl_selector *s, const struct nvl_gpus *gpus, struct nvl_strv *names)
{
    const struct nvl_gpu *gpu = s->kind == NVL_SELECT_INDEX ? nvl_gpu_by_index(gpus, s->index)
                                : s->kind == NVL_SELECT_PCI ? nvl_gpu_by_pci(gpus, s->gpu)
                                : s->gpu[0] != '\0'         ? nvl_gpu_by_uuid(gpus, s->gpu)
                                                            : NULL;

    if (gpu != NULL && gpu->is_lent) {
        nvl_autofree char *remark = nvl_gpu_remark(gpu);
        nvl_strv_pushf(names, "%s (%s)", short_model(gpu), remark);
        return;
    }
    if (gpu == NULL || gpu->index < 0) {
        nvl_strv_push(names, s->text);
        return;
    }
    if (s->kind == NVL_SELECT_MIG)
        nvl_strv_pushf(names, "%d: %s MIG %u/%u", gpu->index, short_model(gpu), s->gi, s->ci);
    else
        nvl_strv_pushf(names, "%d: %s", gpu->index, short_model(gpu));
}

/* "any (0: RTX A5500 Laptop GPU)": what an open selector comes to now. */
static void name_choice(const struct listing *l, const struct row *row, const struct nvl_resolved *resolved,
                        size_t selector, struct nvl_strv *names)
{
    const char *text = row->grant->selectors[selector].text;

    for (size_t i = 0; i < resolved->n_gpus; i++) {
        const struct nvl_gpu *gpu = resolved->gpus[i].gpu;
        if (resolved->gpus[i].selector != (int)selector)
            continue;
        if (l->is_short)
            nvl_strv_pushf(names, "%s (%d: %s)", text, gpu->index, short_model(gpu));
        else
            nvl_strv_pushf(names, "%s (%s)", text, gpu->uuid[0] != '\0' ? gpu->uuid : gpu->pci);
        return;
    }
    nvl_strv_pushf(names, "%s (none here)", text);
}

static char *open_text(const struct listing *l, const struct row *row)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved = {0};

    nvl_grant_resolve(row->grant, &l->host, &resolved);
    for (size_t i = 0; i < row->grant->n_selectors; i++)
        if (nvl_selector_is_open(&row->grant->selectors[i]))
            name_choice(l, row, &resolved, i, &names);
        else if (l->is_short)
            name_selector(&row->grant->selectors[i], &l->gpus, &names);
        else
            nvl_strv_push(&names, row->grant->selectors[i].text);
    return nvl_strv_join(&names, ", ");
}

static char *devices_text(const struct listing *l, const struct row *row)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    if (row->grant == NULL)
        return nvl_xstrdup("by hand");
    if (row->c->node == NULL && nvl_grant_is_open(row->grant))
        return open_text(l, row);
    if (!l->is_short || row->grant->devices != NVL_DEVICES_LIST || row->c->node != NULL)
        return nvl_grant_devices(row->grant);
    for (size_t i = 0; i < row->grant->n_selectors; i++)
        name_selector(&row->grant->selectors[i], &l->gpus, &names);
    return nvl_strv_join(&names, ", ");
}

static void add_table(const struct listing *l, const struct row *row)
{
    nvl_autofree char *kind = nvl_container_kind_text(row->c);
    nvl_autofree char *devices = devices_text(l, row);
    nvl_autofree char *ways = row->grant != NULL ? nvl_grant_ways_text(row->grant) : nvl_xstrdup("");
    nvl_autofree char *gpus =
        nvl_xasprintf("%s%s%s", devices, row->grant != NULL && row->by_hand ? " (and by hand)" : "", ways);
    nvl_autofree char *words = row->grant != NULL ? nvl_capabilities_format(row->grant->capabilities) : NULL;
    const char *state = row->c->node != NULL ? NULL : row->running ? "running" : "stopped";
    const char *const plain[] = {row->name, row->hostname, state, gpus, words, kind};
    const char *node = row->c->node != NULL ? row->c->node : l->nodes.here;
    const char *const cluster[] = {row->name, row->hostname, node, state, gpus, words, kind};

    nvl_table_row(l->table, l->cluster ? cluster : plain);
    nvl_table_style(l->table, l->cluster ? 3 : 2, row->running ? NVL_GOOD : NVL_PLAIN);
}

static void say_name(const struct listing *l, const struct row *row)
{
    if (row->grant != NULL)
        nvl_say(l->ctx, "%s", row->name);
}

/* Only what a start decides takes more than the config, and once. */
static void read_host_for(const struct nvl_grant *grant, struct listing *l)
{
    if (!l->has_host && nvl_grant_is_open(grant))
        l->has_host = nvl_host_read(&l->host, &l->ctx->root, NVL_GPUS_ALL, NULL) == 0;
}

static int add_container(const struct nvl_containers *all, const struct nvl_container *c, struct listing *l,
                         struct nvl_error *err)
{
    struct nvl_config nvl_auto(nvl_config_clear) config = {0};
    struct nvl_effective nvl_auto(nvl_effective_clear) effective = {0};
    struct nvl_grant nvl_auto(nvl_grant_clear) grant = {0};
    struct nvl_strv nvl_auto(nvl_strv_clear) by_hand = {0};

    int r = nvl_container_read_config(&l->ctx->root, c, &config, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r; /* it was removed meanwhile */
    /* an unreadable include hides its lines: warn, and count the rest */
    if (nvl_effective_read(&l->ctx->root, c, &config, &effective, err) < 0)
        nvl_warn("%s", err->message);
    int has = nvl_effective_grant(&effective, &grant, err);
    if (has < 0)
        return has;
    nvl_effective_by_hand(&effective, &by_hand);
    nvl_config_stray_lines(&config, &by_hand);
    if (has == 0 && by_hand.count == 0)
        return 0;
    nvl_autofree char *name = nvl_container_full_name(all, c);
    const char *hostname = c->kind == NVL_CONTAINER_PVE ? nvl_config_get(&config, "hostname") : NULL;
    nvl_autofree char *printable = hostname != NULL ? nvl_make_printable(nvl_xstrdup(hostname)) : NULL;
    const struct row row = {
        .c = c,
        .name = name,
        .hostname = printable,
        .grant = has > 0 ? &grant : NULL,
        .by_hand = by_hand.count > 0,
        .running = c->node == NULL && nvl_running_has(&l->running, c),
    };
    read_host_for(&grant, l);
    if (l->names)
        say_name(l, &row);
    else if (l->table == NULL)
        print_list_element(nvl_json_made(json_row(&row)), l->shown == 0);
    else
        add_table(l, &row);
    l->shown++;
    return 0;
}

/* Reads one container at a time, and keeps only the table rows of those before it. */
static void add_all_rows(const struct nvl_containers *all, struct listing *l)
{
    for (size_t i = 0; i < all->count; i++) {
        nvl_autofree struct nvl_container *c = nvl_container_at(all, i);
        struct nvl_error err = {0};
        if (c->node != NULL && nvl_strv_contains(&l->nodes.removed, c->node))
            continue;
        if (add_container(all, c, l, &err) < 0)
            nvl_warn("%s is left out: %s", c->config_path, err.message);
    }
}

static void print_listing(struct listing *l, const struct nvl_containers *all)
{
    const struct nvl_context *ctx = l->ctx;

    if (ctx->json)
        begin_json();
    if (l->is_short) /* without them UUIDs stay */
        nvl_gpus_read(&ctx->root, NVL_GPUS_PROC, &l->gpus, NULL);
    nvl_running_read(&ctx->root, &l->running);
    add_all_rows(all, l);
    if (ctx->json)
        end_json(l->shown == 0);
    else if (l->shown == 0 && !l->names)
        nvl_say_fact(ctx, "", "no container has a GPU (`nvlxc attach CT` gives one)");
    else if (l->table != NULL && !ctx->quiet)
        nvl_table_print(l->table, stdout);
}

static void listing_clear(struct listing *l)
{
    nvl_cluster_names_clear(&l->nodes);
    nvl_running_clear(&l->running);
    nvl_gpus_clear(&l->gpus);
    nvl_table_free(l->table);
}

static int run_container_list(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                              struct nvl_error *err)
{
    static const char *const plain[] = {"CONTAINER",    "HOSTNAME", "STATE", "GPUS",
                                        "CAPABILITIES", "KIND",     NULL};
    static const char *const cluster[] = {"CONTAINER", "HOSTNAME",     "NODE", "STATE",
                                          "GPUS",      "CAPABILITIES", "KIND", NULL};
    const struct list_values *values = data;
    struct nvl_containers nvl_auto(nvl_containers_clear) all = {0};
    struct listing nvl_auto(listing_clear)
        l = {.ctx = ctx, .cluster = values->cluster, .names = values->names};

    (void)arguments;
    if (values->names && ctx->json)
        return nvl_error_usage(err, "list: --names and --json exclude each other");
    int r = nvl_containers_find(&ctx->root, values->cluster, &all, err);
    if (r == 0 && values->cluster)
        r = nvl_cluster_names_read(ctx, &l.nodes, err);
    if (r < 0)
        return r;
    l.is_short = !values->wide && !ctx->json && nvl_is_on_terminal();
    if (!ctx->json && !values->names)
        l.table = nvl_table_new(values->cluster ? cluster : plain);
    nvl_warn_all(&all.unread);
    print_listing(&l, &all);
    nvl_host_clear(&l.host);
    return NVL_EXIT_OK;
}

static const struct nvl_example list_examples[] = {
    {"list", "who has which GPU, and who runs"},
    {"list --cluster", "also the CTs of the other Proxmox nodes"},
    {"list --names", "only the names, for a script"},
    {0},
};

const struct nvl_command nvl_cmd_list = {
    .name = "list",
    .arguments = "",
    .summary = "list the containers with a grant",
    .details = "It also lists and marks containers whose NVIDIA lines were written by hand.",
    .examples = list_examples,
    .options = list_options,
    .values_size = sizeof(struct list_values),
    .run = run_container_list,
};
