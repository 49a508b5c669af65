/* Decides who wrote a config's line: nvlxc, somebody by hand; or whether it is about NVIDIA at all. */
#include "container/ownership.h"

#include "container/entry.h"
#include "container/foreign.h"
#include "container/grant_lines.h"
#include "container/keys.h"

static size_t top_end(const struct nvl_config *config)
{
    size_t end = 0;

    while (end < config->n_lines && config->lines[end].section == 0)
        end++;
    return end;
}

/* What the hook lines say about the delivery of the grant. If they contradict each other, all of it counts:
 * the lines of either way are nvlxc's. */
struct ways {
    bool has_hook, is_dev, is_static;
};

static struct ways read_ways(const struct nvl_config *config, size_t end)
{
    struct ways ways = {0};

    for (size_t i = 0; i < end; i++) {
        struct nvl_delivery said;
        enum nvl_grant_slot slot = nvl_line_slot(&config->lines[i]);
        if ((slot != NVL_SLOT_PRE_START && slot != NVL_SLOT_MOUNT) ||
            !nvl_hook_line_parse(config->lines[i].value, &said))
            continue;
        ways.has_hook = true;
        ways.is_dev = ways.is_dev || said.nodes == NVL_NODES_DEV;
        ways.is_static = ways.is_static || said.nodes == NVL_NODES_STATIC;
    }
    return ways;
}

static bool is_ours(const struct ways *ways, enum nvl_grant_slot slot, bool is_in_company)
{
    switch (slot) {
    case NVL_SLOT_NONE:
        return false;
    case NVL_SLOT_DEVICES:
    case NVL_SLOT_GPUS:
    case NVL_SLOT_CAPABILITIES:
    case NVL_SLOT_PRE_START:
    case NVL_SLOT_MOUNT:
    case NVL_SLOT_RULE:
        return ways->has_hook;
    case NVL_SLOT_DEV:
    case NVL_SLOT_DRI_DEV:
        return ways->is_dev;
    case NVL_SLOT_ENTRY:
        return ways->is_static;
    default: /* one that needs company */
        return is_in_company;
    }
}

/* Goes upwards: lines that need company stand directly above nvlxc's mount hook. */
static void find_ours(const struct nvl_config *config, size_t end, enum nvl_line_owner *owners)
{
    struct ways ways = read_ways(config, end);
    bool is_in_company = false;

    for (size_t i = end; i-- > 0;) {
        const struct nvl_line *line = &config->lines[i];
        enum nvl_grant_slot slot = nvl_line_slot(line);
        if (is_ours(&ways, slot, is_in_company))
            owners[i] = NVL_OWNER_NVLXC;
        if (nvl_line_is_raw(line) && !nvl_slot_needs_company(slot))
            is_in_company = slot == NVL_SLOT_MOUNT;
    }
}

/* Variables do not count: they may serve a program. */
static bool is_clear(const struct nvl_config *config, const struct nvl_line *line)
{
    return line->kind == NVL_LINE_KEY && strcmp(line->key, NVL_KEY_ENVIRONMENT) != 0 &&
           nvl_line_about(config, line) == NVL_ABOUT_NVIDIA;
}

static bool has_hook(const struct nvl_config *config, const enum nvl_line_owner *owners, size_t end)
{
    for (size_t i = 0; i < end; i++) {
        enum nvl_grant_slot slot = nvl_line_slot(&config->lines[i]);
        if (owners[i] == NVL_OWNER_NVLXC && (slot == NVL_SLOT_PRE_START || slot == NVL_SLOT_MOUNT))
            return true;
    }
    return false;
}

static bool is_others_key(const struct nvl_config *config, const enum nvl_line_owner *owners, size_t i)
{
    return owners[i] == NVL_OWNER_OTHER && config->lines[i].kind == NVL_LINE_KEY;
}

static void find_by_hand(const struct nvl_config *config, size_t end, enum nvl_line_owner *owners)
{
    struct nvl_company company = {.is_granted = has_hook(config, owners, end)};

    for (size_t i = 0; i < end; i++)
        if (is_others_key(config, owners, i))
            nvl_company_add(&company, nvl_line_about(config, &config->lines[i]), config->lines[i].key,
                            config->lines[i].value);
    for (size_t i = 0; i < end; i++)
        if (is_others_key(config, owners, i) &&
            nvl_is_by_hand(&company, nvl_line_about(config, &config->lines[i]), config->lines[i].key))
            owners[i] = NVL_OWNER_BY_HAND;
}

/* A dev[n] entry in the pending section takes effect at the next start. */
static void find_pending(const struct nvl_config *config, size_t end, enum nvl_line_owner *owners)
{
    struct ways ways = read_ways(config, end);
    bool is_pending = false;

    for (size_t i = end; i < config->n_lines; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (line->kind == NVL_LINE_SECTION)
            is_pending = nvl_is_pending_section(line);
        if (!is_pending || line->kind != NVL_LINE_KEY || nvl_dev_index(line->key) < 0)
            continue;
        if (is_ours(&ways, nvl_line_slot(line), false))
            owners[i] = NVL_OWNER_NVLXC;
        else if (nvl_line_about(config, line) == NVL_ABOUT_NVIDIA)
            owners[i] = NVL_OWNER_BY_HAND;
    }
}

enum nvl_line_owner *nvl_config_owners(const struct nvl_config *config)
{
    enum nvl_line_owner *owners = nvl_xcalloc(config->n_lines + 1, sizeof *owners);
    size_t end = top_end(config);

    find_ours(config, end, owners);
    find_by_hand(config, end, owners);
    find_pending(config, end, owners);
    return owners;
}

/* ---- astray ---- */

/* A hook line of nvlxc's shows that the section is a true snapshot: nvlxc writes none there. */
static bool is_tools_section(const struct nvl_config *config, size_t from, size_t to)
{
    bool any_clear = false;

    for (size_t i = from; i < to; i++) {
        enum nvl_grant_slot slot = nvl_line_slot(&config->lines[i]);
        if (slot == NVL_SLOT_PRE_START || slot == NVL_SLOT_MOUNT)
            return false;
        any_clear = any_clear || is_clear(config, &config->lines[i]);
    }
    return any_clear;
}

/* Marks the lines of one section, [from, to), and returns whether there are any. */
static bool mark_section(const struct nvl_config *config, size_t from, size_t to, bool *strays)
{
    bool any = false, is_pending = nvl_is_pending_section(&config->lines[from]);

    if (!is_tools_section(config, from, to))
        return false;
    for (size_t i = from; i < to; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (line->kind != NVL_LINE_KEY || nvl_line_about(config, line) == NVL_ABOUT_OTHER)
            continue;
        /* Proxmox's own entries rightly wait in the pending section for the next start */
        strays[i] = nvl_line_is_raw(line) || !is_pending;
        any = any || strays[i];
    }
    return any;
}

bool *nvl_config_strays(const struct nvl_config *config)
{
    nvl_autofree enum nvl_line_owner *owners = nvl_config_owners(config);
    nvl_autofree bool *strays = nvl_xcalloc(config->n_lines + 1, sizeof *strays);
    size_t end = top_end(config);
    bool any = false;

    for (size_t i = 0; i < end; i++)
        if (owners[i] != NVL_OWNER_OTHER)
            return NULL;
    for (size_t from = end, to; from < config->n_lines; from = to) {
        for (to = from; to < config->n_lines && config->lines[to].section == config->lines[from].section;)
            to++;
        if (to == config->n_lines || nvl_is_pending_section(&config->lines[from]))
            any = mark_section(config, from, to, strays) || any;
    }
    return any ? TAKE_PTR(strays) : NULL;
}
