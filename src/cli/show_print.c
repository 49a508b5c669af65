/* What `show` found, for people and as JSON. */
#include <stdio.h>

#include "base/paths.h"
#include "cli/show.h"
#include "cli/table.h"

static const char *const filter_names[] = {
    [NVL_FILTER_NONE] = "none", [NVL_FILTER_ALLOW] = "allow", [NVL_FILTER_DENY] = "deny"};
static const char *const filter_texts[] = {
    [NVL_FILTER_NONE] = "none, every node opens",
    [NVL_FILTER_ALLOW] = "an allow-list",
    [NVL_FILTER_DENY] = "a deny-list, no rules are needed",
};

static void say_grant(const struct nvl_context *ctx, const struct nvl_shown *s)
{
    nvl_autofree char *devices = nvl_grant_devices(&s->grant),
                      *words = nvl_capabilities_format(s->grant.capabilities);

    nvl_autofree char *ways = nvl_grant_ways_text(&s->grant);
    nvl_say(ctx, "grant:   %s; %s%s%s", devices, words, s->grant.delivery.required ? "; required" : "", ways);
    for (size_t i = 0; i < s->resolved.n_gpus; i++) {
        const struct nvl_resolved_gpu *g = &s->resolved.gpus[i];
        nvl_autofree char *text = nvl_gpu_text(g->gpu);
        if (g->mig != NULL)
            nvl_say(ctx, "gpu:     MIG device %u/%u of %s", g->mig->gi, g->mig->ci, text);
        else
            nvl_say(ctx, "gpu:     %s", text);
    }
    for (size_t i = 0; i < s->resolved.missing.count; i++)
        nvl_say(ctx, "missing: %s", s->resolved.missing.items[i]);
}

static void say_driver(const struct nvl_context *ctx, const struct nvl_shown *s)
{
    const char *version = s->host.driver.version;

    if (!s->host.driver.loaded)
        nvl_say(ctx, "driver:  not loaded");
    else if (version[0] == '\0')
        nvl_say(ctx, "driver:  loaded, of an unknown version");
    else if (s->grant.delivery.libraries == NVL_LIBRARIES_NONE)
        nvl_say(ctx, "driver:  %s; the container has files of its own, which must be of this version",
                version);
    else if (s->grant.delivery.libraries == NVL_LIBRARIES_HOST)
        nvl_say(ctx, "driver:  %s; the host's own library folders", version);
    else
        nvl_say(ctx, "driver:  %s, bundle %s/%s %s", version, NVL_BUNDLE_DIR, version,
                s->bundle_present ? "is there" : "is not there (nvlxc driver sync)");
}

static void say_again(const struct nvl_context *ctx, const struct nvl_shown *s, const char *what)
{
    nvl_autofree char *ways = nvl_delivery_arguments(&s->grant.delivery);

    nvl_say(ctx, "         run `nvlxc attach %s%s%s` with the same GPUs again to %s", s->target.name,
            ways[0] != '\0' ? " " : "", ways, what);
}

/* Nodes that the hook does not bring. */
static void say_entries(const struct nvl_context *ctx, const struct nvl_shown *s)
{
    nvl_autofree char *entries = nvl_strv_join(&s->entries, ", ");
    nvl_autofree char *missing = nvl_strv_join(&s->entries_missing, ", ");
    nvl_autofree char *other = nvl_strv_join(&s->entries_other, ", ");

    if (s->grant.delivery.nodes == NVL_NODES_HOOK)
        return;
    nvl_say(ctx, "nodes:   by %s: %s",
            s->grant.delivery.nodes == NVL_NODES_DEV ? "Proxmox's dev[n] entries" : "mount entries", entries);
    if (s->grant.delivery.nodes == NVL_NODES_DEV)
        nvl_say(ctx, "         while one of them is missing on the host, Proxmox does not start the CT");
    if (s->entries_missing.count > 0)
        nvl_say(ctx, "         not among them: %s", missing);
    if (s->entries_other.count > 0)
        nvl_say(ctx, "         not of this grant: %s", other);
    if (s->entries_missing.count > 0 || s->entries_other.count > 0)
        say_again(ctx, s, "write them anew");
}

static void say_rules(const struct nvl_context *ctx, const struct nvl_shown *s)
{
    nvl_autofree char *missing = nvl_strv_join(&s->rules_missing, ", ");

    nvl_say(ctx, "filter:  %s%s%s", filter_texts[s->filter],
            s->rules_missing.count > 0 ? "; it keeps out: " : "", missing);
    if (s->rules_missing.count > 0)
        say_again(ctx, s, "add the rules");
}

static void print_nodes(const struct nvl_context *ctx, const struct nvl_shown *s)
{
    static const char *const columns[] = {"NODE", "SHOULD BE", "IS", "STATE", NULL};
    struct nvl_table *table = nvl_table_new(columns);

    for (size_t i = 0; i < s->resolved.n_nodes; i++) {
        const struct nvl_node *n = &s->resolved.nodes[i];
        nvl_autofree char *should = n->major >= 0 ? nvl_xasprintf("%d:%d", n->major, n->minor) : NULL;
        nvl_autofree char *is =
            n->found_major >= 0 ? nvl_xasprintf("%d:%d", n->found_major, n->found_minor) : NULL;
        nvl_table_row(table, (const char *const[]){n->path, should, is, nvl_node_state_name(n->state)});
    }
    if (s->resolved.n_nodes > 0 && !ctx->quiet)
        nvl_table_print(table, stdout);
    nvl_table_free(table);
}

void nvl_shown_print(const struct nvl_context *ctx, const struct nvl_shown *s)
{
    nvl_autofree char *kind = nvl_container_kind_text(s->target.container);

    nvl_say(ctx, "%s (%s, %s): %s", s->target.name, kind, s->running ? "running" : "stopped",
            s->target.container->config_path);
    if (s->granted) {
        say_grant(ctx, s);
        say_driver(ctx, s);
        if (s->host_release != NULL)
            nvl_say(ctx, "release: the host's is %s, the container's %s: the host's libraries may not fit it",
                    s->host_release, s->container_release);
        say_entries(ctx, s);
        say_rules(ctx, s);
        print_nodes(ctx, s);
        nvl_shown_say_inside(ctx, s);
    } else {
        nvl_say(ctx, "no GPU from nvlxc");
    }
    for (size_t i = 0; i < s->by_hand.count; i++)
        nvl_say(ctx, "by hand, %s", s->by_hand.items[i]);
    for (size_t i = 0; i < s->strays.count; i++)
        nvl_say(ctx, "by hand, without effect, %s", s->strays.items[i]);
    if (s->by_hand.count > 0 || s->strays.count > 0)
        nvl_say(ctx, "`nvlxc attach %s --replace --dry-run` shows what nvlxc would write in their place",
                s->target.name);
}

static json_t *json_gpus(const struct nvl_shown *s)
{
    json_t *array = json_array();

    for (size_t i = 0; i < s->resolved.n_gpus; i++) {
        const struct nvl_gpu *g = s->resolved.gpus[i].gpu;
        const struct nvl_mig *mig = s->resolved.gpus[i].mig;
        json_array_append_new(
            array, json_pack("{s:o,s:o,s:o,s:s,s:o,s:o}", "index", nvl_json_unsigned(g->index), "uuid",
                             nvl_json_string(g->uuid), "minor", nvl_json_unsigned(g->minor), "pci", g->pci,
                             "model", nvl_json_string(g->model), "mig",
                             mig != NULL ? json_pack("{s:i,s:i}", "gi", (int)mig->gi, "ci", (int)mig->ci)
                                         : json_null()));
    }
    return array;
}

static json_t *json_granted_nodes(const struct nvl_shown *s)
{
    json_t *array = json_array();

    for (size_t i = 0; i < s->resolved.n_nodes; i++) {
        const struct nvl_node *n = &s->resolved.nodes[i];
        json_array_append_new(array, json_pack("{s:s,s:o,s:i,s:s,s:o,s:o}", "path", n->path, "major",
                                               nvl_json_unsigned(n->major), "minor", n->minor, "state",
                                               nvl_node_state_name(n->state), "found_major",
                                               nvl_json_unsigned(n->found_major), "found_minor",
                                               nvl_json_unsigned(n->found_minor)));
    }
    return array;
}

static json_t *json_grant(const struct nvl_grant *grant)
{
    return json_pack("{s:o,s:o,s:b,s:b,s:s,s:s}", "devices", nvl_json_devices(grant), "capabilities",
                     nvl_json_capabilities(grant->capabilities), "required", (int)grant->delivery.required,
                     "exclusive", (int)grant->delivery.exclusive, "nodes",
                     nvl_nodes_mode_name(grant->delivery.nodes), "libraries",
                     nvl_libraries_mode_name(grant->delivery.libraries));
}

/* Without a grant nothing was looked at on the host: null. */
void nvl_shown_print_json(const struct nvl_shown *s)
{
    const char *version = s->host.driver.version;
    bool granted = s->granted;
    json_t *bundle = granted && version[0] != '\0'
                         ? json_pack("{s:s,s:b}", "version", version, "present", (int)s->bundle_present)
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
        nvl_json_text(s->target.container->config_path), "grant",
        granted ? json_grant(&s->grant) : json_null(), "gpus", granted ? json_gpus(s) : json_null(),
        "missing", granted ? nvl_json_strings(&s->resolved.missing) : json_null(), "nodes",
        granted ? json_granted_nodes(s) : json_null(), "driver",
        granted ? nvl_json_string(version) : json_null(), "bundle", bundle, "filter",
        granted ? json_string(filter_names[s->filter]) : json_null(), "rules", rules, "entries", entries,
        "library_path", nvl_shown_json_library_path(s), "closed",
        granted ? nvl_json_strings(&s->closed) : json_null(), "by_hand", nvl_json_strings(&s->by_hand),
        "astray", nvl_json_strings(&s->strays), "ok", (int)nvl_shown_is_well(s)));
}
