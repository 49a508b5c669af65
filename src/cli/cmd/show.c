/* nvlxc show: what a container's grant says, and what it resolves to on this host now. It exits 1 if part of
 * the grant is not there. */
#include <fcntl.h>

#include "bundle/list.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "container/owned_lines.h"
#include "base/paths.h"
#include "cli/table.h"
#include "container/device_rules.h"
#include "container/idmap.h"
#include "container/library_path.h"
#include "container/rootfs_path.h"
#include "inject/home.h"
#include "container/target.h"
#include "grant/delivery.h"
#include "grant/resolve.h"
#include "attach/delivery_check.h"
#include "container/foreign.h"
#include "container/gpu_use.h"
#include "host/gpu_state.h"

struct show_values {
    bool cluster;
};

/* A grant and what it resolves to at this moment. */
struct shown {
    struct nvl_target target;
    bool running;
    bool granted; /* if not, only the lines by hand count */
    struct nvl_grant grant;
    struct nvl_host host;
    struct nvl_resolved resolved; /* nodes are checked */
    bool bundle_present;          /* of host.driver.version */
    enum nvl_device_filter filter;
    struct nvl_strv rules;         /* nvlxc's, as the config has them */
    struct nvl_strv rules_missing; /* nodes that the device filter blocks */
    struct nvl_strv
        entries; /* nodes that nvlxc's mount entries and dev[n] name; only for --nodes dev, static: */
    struct nvl_strv entries_missing;        /* nodes of the grant that no line names */
    struct nvl_strv entries_other;          /* named, but not of the grant: the GPU has another number now */
    char *host_release, *container_release; /* if they differ, with the host's libraries; else NULL */
    struct nvl_strv by_hand, strays;
    /* filled in by look_inside */
    bool has_rootfs;  /* its root file system is readable */
    const char *home; /* where the driver is in it: inject/home.h */
    struct nvl_library_path library_path;
    struct nvl_strv closed; /* graphics nodes that nobody in the container may open */
};

static void shown_clear(struct shown *s)
{
    nvl_strv_clear(&s->closed);
    nvl_library_path_clear(&s->library_path);
    nvl_strv_clear(&s->strays);
    nvl_strv_clear(&s->by_hand);
    free(s->container_release);
    free(s->host_release);
    nvl_strv_clear(&s->entries_other);
    nvl_strv_clear(&s->entries_missing);
    nvl_strv_clear(&s->entries);
    nvl_strv_clear(&s->rules_missing);
    nvl_strv_clear(&s->rules);
    nvl_resolved_clear(&s->resolved);
    nvl_host_clear(&s->host);
    nvl_grant_clear(&s->grant);
    nvl_target_close(&s->target);
}

static int read_shown_grant(const struct nvl_context *ctx, const char *name, struct shown *s,
                            struct nvl_error *err)
{
    int r = nvl_target_open(&ctx->root, name, &s->target, err);

    if (r < 0)
        return r;
    s->running = nvl_container_is_running(&ctx->root, s->target.container);
    nvl_effective_by_hand(&s->target.effective, &s->by_hand);
    nvl_config_stray_lines(&s->target.config, &s->strays);
    r = nvl_effective_grant(&s->target.effective, &s->grant, err);
    s->granted = r > 0;
    return r < 0 ? nvl_error_prefix(err, "%s", s->target.container->config_path) : 0;
}

/* Any line that brings the node will do, whoever wrote it. */
static void named_by_anyone(const struct nvl_effective *effective, struct nvl_strv *paths)
{
    for (size_t i = 0; i < effective->count; i++)
        if (!nvl_has_prefix(effective->items[i].key, "lxc.cgroup"))
            nvl_setting_nodes(effective->items[i].key, effective->items[i].value, paths);
}

static bool is_node_granted(const struct shown *s, const char *path)
{
    for (size_t i = 0; i < s->resolved.n_nodes; i++)
        if (strcmp(s->resolved.nodes[i].path, path) == 0)
            return true;
    return false;
}

static void compare_named_nodes(struct shown *s)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) named = {0};

    nvl_config_entries(&s->target.config, &s->entries);
    named_by_anyone(&s->target.effective, &named);
    for (size_t i = 0; i < s->resolved.n_nodes; i++) {
        const char *path = s->resolved.nodes[i].path;
        bool is_in_folder = nvl_has_prefix(path, "/dev/dri/") && nvl_strv_contains(&named, "/dev/dri");
        if (!is_in_folder && !nvl_strv_contains(&named, path))
            nvl_strv_push(&s->entries_missing, path);
    }
    for (size_t i = 0; i < s->entries.count; i++)
        if (!is_node_granted(s, s->entries.items[i]))
            nvl_strv_push(&s->entries_other, s->entries.items[i]);
}

static void compare_releases(const struct nvl_context *ctx, struct shown *s)
{
    nvl_autofree char *host = NULL, *container = NULL;

    if (nvl_is_same_release(&ctx->root, &s->target, &host, &container))
        return;
    s->host_release = TAKE_PTR(host);
    s->container_release = TAKE_PTR(container);
}

/* Whether the map has the host's owner or group, whose the node is. */
static bool is_open_to(const struct nvl_idmap *map, const struct stat *st)
{
    unsigned inside;

    return (st->st_mode & 0006) == 0006 ||
           ((st->st_mode & 0600) == 0600 && nvl_idmap_inside(map, 'u', st->st_uid, &inside)) ||
           ((st->st_mode & 0060) == 0060 && nvl_idmap_inside(map, 'g', st->st_gid, &inside));
}

/* Only the host's owner and group may open such nodes, and an unprivileged container mostly has neither. The
 * driver's parameters set the mode of NVIDIA's own nodes; udev sets that of these. */
static void find_closed_nodes(const struct nvl_root *root, const struct nvl_idmap *map, struct shown *s)
{
    struct stat st;

    for (size_t i = 0; i < s->resolved.n_nodes; i++) {
        const struct nvl_node *node = &s->resolved.nodes[i];
        if (node->kind == NVL_NODE_DRI && node->state == NVL_NODE_OK &&
            nvl_root_stat(root, node->path, AT_SYMLINK_NOFOLLOW, &st) == 0 && !is_open_to(map, &st))
            nvl_strv_push(&s->closed, node->path);
    }
}

/* The container's side: whether its programs find the driver by the library path that an image sets, and
 * whether anyone in it may open the graphics nodes. Neither is a fault of the grant. */
static void look_inside(const struct nvl_context *ctx, struct shown *s)
{
    nvl_auto(nvl_root_close) struct nvl_root rootfs = NVL_ROOT_NONE;
    const struct nvl_effective *effective = &s->target.effective;
    const struct nvl_container *c = s->target.container;
    nvl_autofree char *why = NULL;
    struct nvl_idmap map;

    if (nvl_idmap_read(effective, &map, NULL) < 0)
        return;
    /* the start hook of root's containers and Proxmox's dev[n] entries give the container nodes of its own */
    if (c->user != NULL ? s->grant.delivery.nodes != NVL_NODES_DEV
                        : !map.privileged && s->grant.delivery.nodes == NVL_NODES_STATIC)
        find_closed_nodes(&ctx->root, &map, s);
    s->has_rootfs = nvl_container_open_rootfs(&ctx->root, c, effective, &map, &rootfs, &why) == 0;
    s->home = s->has_rootfs ? nvl_home(&rootfs) : nvl_homes[0];
    if (s->grant.delivery.libraries == NVL_LIBRARIES_BUNDLE)
        nvl_library_path_read(effective, s->has_rootfs ? &rootfs : NULL, s->home, &s->library_path);
}

static int resolve(const struct nvl_context *ctx, struct shown *s, struct nvl_error *err)
{
    int r = nvl_host_read(&s->host, &ctx->root, NVL_GPUS_ALL, err);

    if (r == 0 && s->target.incomplete.code < 0) {
        *err = s->target.incomplete;
        r = err->code;
    }
    if (r < 0)
        return r;
    s->filter = nvl_device_filter(s->target.container, &s->target.effective);
    s->bundle_present = nvl_bundle_is_present(&ctx->root, s->host.driver.version);
    nvl_config_rules(&s->target.config, &s->rules);
    nvl_mark_gpus_used(&ctx->root, s->target.container, &s->grant, &s->host.gpus);
    nvl_grant_resolve(&s->grant, &s->host, &s->resolved);
    for (size_t i = 0; i < s->resolved.n_nodes; i++) {
        struct nvl_node *node = &s->resolved.nodes[i];
        nvl_node_check(&ctx->root, node);
        /* Proxmox handles the rules of dev[n] entries */
        if (s->filter == NVL_FILTER_ALLOW && s->grant.delivery.nodes != NVL_NODES_DEV &&
            !nvl_strv_contains(&s->rules, node->path))
            nvl_strv_push(&s->rules_missing, node->path);
    }
    if (s->grant.delivery.nodes != NVL_NODES_HOOK)
        compare_named_nodes(s);
    if (s->grant.delivery.libraries == NVL_LIBRARIES_HOST)
        compare_releases(ctx, s);
    look_inside(ctx, s);
    return 0;
}

static bool is_shown_well(const struct shown *s)
{
    for (size_t i = 0; i < s->resolved.n_nodes; i++)
        if (s->resolved.nodes[i].state != NVL_NODE_OK)
            return false;
    for (size_t i = 0; i < s->resolved.n_gpus; i++) {
        enum nvl_gpu_state state = nvl_gpu_state(s->resolved.gpus[i].gpu);
        if (state == NVL_GPU_IS_LOST || state == NVL_GPU_IS_SILENT)
            return false;
    }
    return s->resolved.missing.count == 0 && s->rules_missing.count == 0 && s->entries_missing.count == 0 &&
           s->entries_other.count == 0;
}

/* NULL if the linker finds the driver and nothing else is set; the caller frees. */
static char *library_path_text(const struct shown *s)
{
    const struct nvl_library_path *path = &s->library_path;

    if (path->state == NVL_LIBRARY_PATH_FINDS)
        return nvl_xasprintf("its LD_LIBRARY_PATH names %s/lib64", s->home);
    if (path->state == NVL_LIBRARY_PATH_OTHERS && path->has_linker)
        return nvl_xasprintf(
            "its LD_LIBRARY_PATH does not name %s/lib64, but its linker's configuration does", s->home);
    if (path->state == NVL_LIBRARY_PATH_OTHERS && !s->has_rootfs)
        return nvl_xasprintf("its LD_LIBRARY_PATH does not name %s/lib64: unless its linker's configuration "
                             "does, its programs do not find the driver",
                             s->home);
    if (s->has_rootfs && !path->has_linker)
        return nvl_xasprintf("neither LD_LIBRARY_PATH nor a linker's configuration leads its programs to the "
                             "driver: add LD_LIBRARY_PATH=%s/lib64 to its environment",
                             s->home);
    return NULL;
}

#define LABEL_WIDTH 9

/* One fact about the container: its label up to the colon, then what it is. */
static void say_labelled(const struct nvl_context *ctx, const char *label, enum nvl_style style,
                         const char *fmt, ...) NVL_PRINTF(4, 5);
static void say_labelled(const struct nvl_context *ctx, const char *label, enum nvl_style style,
                         const char *fmt, ...)
{
    nvl_autofree char *first = nvl_xasprintf("%-*s", LABEL_WIDTH, label);
    va_list ap;

    va_start(ap, fmt);
    nvl_autofree char *text = nvl_xvasprintf(fmt, ap);
    va_end(ap);
    nvl_say_spans(ctx, (struct nvl_span){NVL_FAINT, first}, (const struct nvl_span[]){{style, text}, {0}},
                  true);
}

static void say_inside(const struct nvl_context *ctx, const struct shown *s)
{
    nvl_autofree char *closed = nvl_strv_join(&s->closed, ", ");
    bool has_bundle = s->grant.delivery.libraries == NVL_LIBRARIES_BUNDLE;
    nvl_autofree char *text = has_bundle ? library_path_text(s) : NULL;

    if (has_bundle && s->home != NULL && s->home != nvl_homes[0])
        say_labelled(ctx, "place:", NVL_PLAIN,
                     "the driver is at %s in the container, not at %s (`nvlxc doctor %s`)", s->home,
                     nvl_homes[0], s->target.word);
    if (text != NULL)
        say_labelled(ctx, "image:", NVL_PLAIN, "%s", text);
    if (s->library_path.shadowed != NULL)
        say_labelled(ctx, "image:", NVL_CAREFUL, "its LD_LIBRARY_PATH finds its own %s before the driver's",
                     s->library_path.shadowed);
    if (s->closed.count > 0)
        say_labelled(ctx, "closed:", NVL_PLAIN,
                     "%s: open only to an owner and a group of the host, not to an unprivileged container "
                     "(`nvlxc doctor %s`%s)",
                     closed, s->target.word,
                     s->target.container->user == NULL ? "; `attach --nodes hook` gives it nodes of its own"
                                                       : "");
}

static json_t *json_library_path(const struct shown *s)
{
    const struct nvl_library_path *path = &s->library_path;

    if (!s->granted || s->grant.delivery.libraries != NVL_LIBRARIES_BUNDLE)
        return json_null();
    return json_pack("{s:o,s:b,s:o,s:o,s:s}", "value", nvl_json_string(path->value), "finds_bundle",
                     (int)(path->state == NVL_LIBRARY_PATH_FINDS), "linker",
                     s->has_rootfs ? json_boolean(path->has_linker) : json_null(), "shadowed",
                     nvl_json_string(path->shadowed), "home", s->home != NULL ? s->home : nvl_homes[0]);
}

static const char *const filter_names[] = {
    [NVL_FILTER_NONE] = "none", [NVL_FILTER_ALLOW] = "allow", [NVL_FILTER_DENY] = "deny"};
static const char *const filter_texts[] = {
    [NVL_FILTER_NONE] = "none, every node opens",
    [NVL_FILTER_ALLOW] = "an allow-list",
    [NVL_FILTER_DENY] = "a deny-list, needs no rules",
};

/* On a terminal without the UUID that the line about the grant has. */
static void say_gpu(const struct nvl_context *ctx, const struct shown *s, const char *devices,
                    const struct nvl_resolved_gpu *g)
{
    nvl_autofree char *text = nvl_gpu_text(g->gpu), *remark = nvl_gpu_remark(g->gpu);
    nvl_autofree char *behind = nvl_xasprintf(" (%s)", g->gpu->uuid);
    const char *chosen = g->selector >= 0 ? s->grant.selectors[g->selector].text : "";
    const char *comma = remark != NULL ? ", " : "", *what = remark != NULL ? remark : "";
    enum nvl_gpu_state state = nvl_gpu_state(g->gpu);
    enum nvl_style style = state == NVL_GPU_IS_LOST || state == NVL_GPU_IS_SILENT ? NVL_WRONG : NVL_PLAIN;

    if (nvl_is_on_terminal() && strstr(devices, g->gpu->uuid) != NULL && nvl_has_suffix(text, behind))
        text[strlen(text) - strlen(behind)] = '\0';
    if (g->mig != NULL)
        say_labelled(ctx, "gpu:", style, "MIG device %u/%u of %s%s%s", g->mig->gi, g->mig->ci, text, comma,
                     what);
    else
        say_labelled(ctx, "gpu:", style, "%s%s%s%s%s", text, comma, what, chosen[0] != '\0' ? ", for " : "",
                     chosen);
}

static void say_grant(const struct nvl_context *ctx, const struct shown *s)
{
    nvl_autofree char *devices = nvl_grant_devices(&s->grant),
                      *words = nvl_capabilities_format(s->grant.capabilities);

    nvl_autofree char *ways = nvl_grant_ways_text(&s->grant);
    say_labelled(ctx, "grant:", NVL_PLAIN, "%s; %s%s%s%s", devices, words,
                 s->grant.delivery.required ? "; required" : "", ways,
                 nvl_grant_is_open(&s->grant) ? "; each start decides" : "");
    for (size_t i = 0; i < s->resolved.n_gpus; i++)
        say_gpu(ctx, s, devices, &s->resolved.gpus[i]);
    for (size_t i = 0; i < s->resolved.missing.count; i++)
        say_labelled(ctx, "missing:", NVL_WRONG, "%s", s->resolved.missing.items[i]);
}

static void say_driver(const struct nvl_context *ctx, const struct shown *s)
{
    const char *version = s->host.driver.version;

    if (!s->host.driver.loaded)
        say_labelled(ctx, "driver:", NVL_WRONG, "not loaded");
    else if (version[0] == '\0')
        say_labelled(ctx, "driver:", NVL_WRONG, "loaded, unknown version");
    else if (s->grant.delivery.libraries == NVL_LIBRARIES_NONE)
        say_labelled(ctx, "driver:", NVL_PLAIN,
                     "%s; the container has its own files, which must be of this version", version);
    else if (s->grant.delivery.libraries == NVL_LIBRARIES_HOST)
        say_labelled(ctx, "driver:", NVL_PLAIN, "%s; the host's own library folders", version);
    else
        say_labelled(ctx, "driver:", s->bundle_present ? NVL_PLAIN : NVL_CAREFUL, "%s, bundle %s/%s %s",
                     version, NVL_BUNDLE_DIR, version,
                     s->bundle_present ? "exists" : "is missing (nvlxc driver sync)");
}

static void say_again(const struct nvl_context *ctx, const struct shown *s, const char *what)
{
    nvl_autofree char *ways = nvl_delivery_arguments(&s->grant.delivery);

    say_labelled(ctx, "", NVL_PLAIN, "to %s, run `nvlxc attach %s%s%s` again with the same GPUs", what,
                 s->target.word, ways[0] != '\0' ? " " : "", ways);
}

/* Shows the nodes that the hook does not add. */
static void say_entries(const struct nvl_context *ctx, const struct shown *s)
{
    nvl_autofree char *entries = nvl_strv_join(&s->entries, ", ");
    nvl_autofree char *missing = nvl_strv_join(&s->entries_missing, ", ");
    nvl_autofree char *other = nvl_strv_join(&s->entries_other, ", ");

    if (s->grant.delivery.nodes == NVL_NODES_HOOK)
        return;
    say_labelled(ctx, "nodes:", NVL_PLAIN, "by %s: %s",
                 s->grant.delivery.nodes == NVL_NODES_DEV ? "Proxmox's dev[n] entries" : "mount entries",
                 entries);
    if (s->grant.delivery.nodes == NVL_NODES_DEV)
        say_labelled(ctx, "", NVL_PLAIN,
                     "Proxmox does not start the CT while one of them is missing on the host");
    if (s->entries_missing.count > 0)
        say_labelled(ctx, "", NVL_WRONG, "not among them: %s", missing);
    if (s->entries_other.count > 0)
        say_labelled(ctx, "", NVL_WRONG, "not of this grant: %s", other);
    if (s->entries_missing.count > 0 || s->entries_other.count > 0)
        say_again(ctx, s, "update them");
}

static void say_rules(const struct nvl_context *ctx, const struct shown *s)
{
    nvl_autofree char *missing = nvl_strv_join(&s->rules_missing, ", ");

    say_labelled(ctx, "filter:", s->rules_missing.count > 0 ? NVL_WRONG : NVL_PLAIN, "%s%s%s",
                 filter_texts[s->filter], s->rules_missing.count > 0 ? "; it blocks: " : "", missing);
    if (s->rules_missing.count > 0)
        say_again(ctx, s, "add the rules");
}

static void print_nodes(const struct nvl_context *ctx, const struct shown *s)
{
    static const char *const columns[] = {"NODE", "SHOULD BE", "IS", "STATE", NULL};
    struct nvl_table *table = nvl_table_new(columns);

    for (size_t i = 0; i < s->resolved.n_nodes; i++) {
        const struct nvl_node *n = &s->resolved.nodes[i];
        nvl_autofree char *should = n->major >= 0 ? nvl_xasprintf("%d:%d", n->major, n->minor) : NULL;
        nvl_autofree char *is =
            n->found_major >= 0 ? nvl_xasprintf("%d:%d", n->found_major, n->found_minor) : NULL;
        nvl_table_row(table, (const char *const[]){n->path, should, is, nvl_node_state_name(n->state)});
        nvl_table_style(table, 3, n->state == NVL_NODE_OK ? NVL_GOOD : NVL_WRONG);
    }
    if (s->resolved.n_nodes > 0 && !ctx->quiet)
        nvl_table_print(table, stdout);
    nvl_table_free(table);
}

/* The lines are the config's own: as they are there. */
static void say_by_hand(const struct nvl_context *ctx, const struct shown *s)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv sources = {0}, removals = {0};
    const struct nvl_setting *included = nvl_effective_foreign_file(&s->target.effective);

    for (size_t i = 0; i < s->by_hand.count; i++)
        nvl_say(ctx, "by hand, %s", s->by_hand.items[i]);
    for (size_t i = 0; i < s->strays.count; i++)
        nvl_say_styled(ctx, NVL_CAREFUL, "by hand, without effect, %s", s->strays.items[i]);
    if (nvl_effective_parts_by_hand(&s->target.effective, &sources, &removals)) {
        nvl_autofree char *commands = nvl_strv_join(&removals, "; ");
        nvl_say_fact(ctx, "", "nvlxc does not edit keys and devices; these take them away: %s", commands);
    } else if (included != NULL)
        nvl_say_fact(ctx, "",
                     "nvlxc does not edit %s, which the config includes: remove its NVIDIA lines there first",
                     included->file);
    else if (s->by_hand.count > 0 || s->strays.count > 0)
        nvl_say_fact(ctx, "",
                     "`nvlxc attach %s --replace --dry-run` shows what nvlxc would write in their place",
                     s->target.word);
}

static void say_title(const struct nvl_context *ctx, const struct shown *s)
{
    nvl_autofree char *kind = nvl_container_kind_text(s->target.container);
    nvl_autofree char *open = nvl_xasprintf(" (%s, ", kind),
                      *where = nvl_xasprintf("): %s", s->target.container->config_path);
    const struct nvl_span spans[] = {{NVL_TITLE, s->target.name},
                                     {NVL_PLAIN, open},
                                     {s->running ? NVL_GOOD : NVL_PLAIN, s->running ? "running" : "stopped"},
                                     {NVL_PLAIN, where},
                                     {0}};

    nvl_say_spans(ctx, (struct nvl_span){NVL_PLAIN, ""}, spans, true);
}

static void print_shown(const struct nvl_context *ctx, const struct shown *s)
{
    say_title(ctx, s);
    if (s->granted) {
        say_grant(ctx, s);
        say_driver(ctx, s);
        if (s->host_release != NULL)
            say_labelled(ctx, "release:", NVL_CAREFUL,
                         "%s on the host, %s in the container: the host's libraries may not fit it",
                         s->host_release, s->container_release);
        say_entries(ctx, s);
        say_rules(ctx, s);
        print_nodes(ctx, s);
        say_inside(ctx, s);
    } else {
        nvl_say(ctx, "no GPU from nvlxc");
    }
    say_by_hand(ctx, s);
}

static json_t *json_granted_gpus(const struct shown *s)
{
    json_t *array = json_array();

    for (size_t i = 0; i < s->resolved.n_gpus; i++) {
        const struct nvl_resolved_gpu *g = &s->resolved.gpus[i];
        json_t *json = nvl_json_gpu(g->gpu);
        json_object_set_new(json, "mig_device",
                            g->mig != NULL ? nvl_json_mig_device(g->gpu, g->mig) : json_null());
        json_array_append_new(array, json);
    }
    return array;
}

static json_t *json_granted_nodes(const struct shown *s)
{
    json_t *array = json_array();

    for (size_t i = 0; i < s->resolved.n_nodes; i++) {
        const struct nvl_node *n = &s->resolved.nodes[i];
        json_t *json = nvl_json_node(n);
        json_object_set_new(json, "found_major", nvl_json_unsigned(n->found_major));
        json_object_set_new(json, "found_minor", nvl_json_unsigned(n->found_minor));
        json_array_append_new(array, json);
    }
    return array;
}

/* null without a grant: then show does not look at the host. */
static void print_shown_json(const struct shown *s)
{
    const char *version = s->host.driver.version;
    bool granted = s->granted;
    json_t *bundle = granted && version[0] != '\0'
                         ? json_pack("{s:s,s:b}", "version", version, "exists", (int)s->bundle_present)
                         : json_null();
    json_t *rules = granted ? json_pack("{s:o,s:o}", "present", nvl_json_strings(&s->rules), "missing",
                                        nvl_json_strings(&s->rules_missing))
                            : json_null();

    bool has_entries = granted && s->grant.delivery.nodes != NVL_NODES_HOOK;
    json_t *entries = has_entries ? json_pack("{s:o,s:o,s:o}", "present", nvl_json_strings(&s->entries),
                                              "missing", nvl_json_strings(&s->entries_missing), "other",
                                              nvl_json_strings(&s->entries_other))
                                  : json_null();

    nvl_print_json(json_pack(
        "{s:o,s:s,s:o,s:b,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:b}", "container",
        nvl_json_text(s->target.name), "kind", nvl_container_kind_name(s->target.container), "user",
        nvl_json_string(s->target.container->user), "running", (int)s->running, "config",
        nvl_json_text(s->target.container->config_path), "grant", nvl_json_grant(granted ? &s->grant : NULL),
        "gpus", granted ? json_granted_gpus(s) : json_null(), "missing",
        granted ? nvl_json_strings(&s->resolved.missing) : json_null(), "nodes",
        granted ? json_granted_nodes(s) : json_null(), "driver",
        granted ? nvl_json_driver(&s->host.driver) : json_null(), "bundle", bundle, "filter",
        granted ? json_string(filter_names[s->filter]) : json_null(), "rules", rules, "entries", entries,
        "library_path", json_library_path(s), "closed", granted ? nvl_json_strings(&s->closed) : json_null(),
        "lines_by_hand", nvl_json_strings(&s->by_hand), "lines_astray", nvl_json_strings(&s->strays), "ok",
        (int)is_shown_well(s)));
}

static int run_show(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                    struct nvl_error *err)
{
    struct shown nvl_auto(shown_clear) s = {0};
    const struct show_values *values = data;

    if (values->cluster)
        return nvl_show_in_cluster(ctx, arguments->items[0], err);
    int r = read_shown_grant(ctx, arguments->items[0], &s, err);
    if (r == 0 && s.granted)
        r = resolve(ctx, &s, err);
    if (r < 0)
        return r;
    if (ctx->json)
        print_shown_json(&s);
    else
        print_shown(ctx, &s);
    return is_shown_well(&s) ? NVL_EXIT_OK : NVL_EXIT_FAILED;
}

static const struct nvl_option show_options[] = {
    {"--cluster", NULL, "show which nodes of the Proxmox cluster could run it, and why others cannot",
     NVL_OPTION_FLAG, offsetof(struct show_values, cluster)},
    {0},
};

static const struct nvl_example show_examples[] = {
    {"show 101", "what CT 101 has, and whether all of it is there today"},
    {"show ollama", "the same by the CT's hostname"},
    {"show alice/web", "the container web of the user alice"},
    {"show 101 --cluster", "which nodes of the cluster have what it needs"},
    {"--json show 101 | jq -r '.nodes[].path'", "the device nodes that it gets"},
    {0},
};

const struct nvl_command nvl_cmd_show = {
    .name = "show",
    .arguments = "CT",
    .summary = "show a container's grant, and what it resolves to now",
    .details = "It exits 1 if part of the grant is not on this host, a device node is not as it\n"
               "should be, the container's device filter blocks a node, or mount entries and\n"
               "dev[n] entries name other nodes than the grant's. 'by hand' marks NVIDIA lines\n"
               "that nvlxc did not write.\n"
               "\n"
               "With --cluster it judges each node of the Proxmox cluster, by what that publishes\n"
               "(`nvlxc host publish`), for a CT of any node: yes, perhaps, no, or unknown. It\n"
               "exits 1 if the CT does not have its GPU on its own node.",
    .examples = show_examples,
    .min_arguments = 1,
    .max_arguments = 1,
    .argument_values = "@granted",
    .options = show_options,
    .values_size = sizeof(struct show_values),
    .run = run_show,
};
