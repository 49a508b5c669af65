/* What a container's lines give it of this host's GPUs. */
#include "container/holding.h"

#include <errno.h>
#include <limits.h>

#include "container/entry.h"
#include "container/foreign.h"
#include "container/node_makers.h"

/* A line by hand: in force, or without effect because it landed in a section. */
typedef void visit_fn(void *data, const char *key, const char *value);

static size_t visit_lines(const struct nvl_effective *e, visit_fn *visit, void *data)
{
    nvl_autofree bool *strays = nvl_config_strays(e->config);
    size_t n = 0;

    for (size_t i = 0; i < e->count; i++)
        if (e->items[i].owner == NVL_OWNER_BY_HAND) {
            n++;
            visit(data, e->items[i].key, e->items[i].value);
        }
    for (size_t i = 0; strays != NULL && i < e->config->n_lines; i++)
        if (strays[i]) {
            n++;
            visit(data, e->config->lines[i].key, e->config->lines[i].value);
        }
    return n;
}

/* What the lines say, collected. */
struct said {
    const char *devices, *capabilities; /* NULL for none; the last one wins */
    struct nvl_strv nodes;              /* named by path */
    bool mounts_libraries;
};

static void said_clear(struct said *said)
{
    nvl_strv_clear(&said->nodes);
}

static const char *variable_in(const char *value, const char *name, const char *before)
{
    size_t len = strlen(name);

    return strncmp(value, name, len) == 0 && value[len] == '=' ? value + len + 1 : before;
}

static void take_said(void *data, const char *key, const char *value)
{
    nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry entry = {0};
    struct said *said = data;

    nvl_setting_nodes(key, value, &said->nodes);
    if (strcmp(key, NVL_KEY_ENVIRONMENT) == 0) {
        said->devices = variable_in(value, NVL_ENV_DEVICES, said->devices);
        said->capabilities = variable_in(value, NVL_ENV_CAPABILITIES, said->capabilities);
    }
    if (strcmp(key, NVL_KEY_ENTRY) == 0 && nvl_mount_entry_parse(value, &entry) &&
        strstr(entry.source, "/lib") != NULL && !nvl_has_suffix(entry.source, "/nvidia-smi"))
        said->mounts_libraries = true;
}

/* ---- GPUs ---- */

static const struct nvl_gpu *gpu_by_minor(const struct nvl_gpus *gpus, uint64_t minor)
{
    for (size_t i = 0; i < gpus->count; i++)
        if (gpus->items[i].minor >= 0 && (uint64_t)gpus->items[i].minor == minor)
            return &gpus->items[i];
    return NULL;
}

static void take_node(const char *path, const struct nvl_host *host, struct nvl_grant *grant,
                      struct nvl_strv *warnings)
{
    uint64_t minor;

    if (!nvl_has_prefix(path, "/dev/nvidia") ||
        nvl_parse_uint(path + strlen("/dev/nvidia"), 10, INT_MAX, &minor) < 0)
        return;
    const struct nvl_gpu *gpu = gpu_by_minor(&host->gpus, minor);
    if (gpu == NULL) {
        if (warnings != NULL)
            nvl_strv_pushf(warnings, "the replaced lines name %s, which is not a GPU of this host", path);
        return;
    }
    const char *text = gpu->uuid[0] != '\0' ? gpu->uuid : gpu->pci;
    for (size_t i = 0; i < grant->n_selectors; i++)
        if (strcmp(grant->selectors[i].text, text) == 0)
            return;
    nvl_selector_parse(text, NVL_APPEND(grant->selectors, grant->n_selectors), NULL);
}

/* The nodes that hooks by hand make; all GPUs' for one that makes up the names. */
static void add_hook_nodes(const struct nvl_effective *e, const struct nvl_host *host, struct nvl_strv *nodes)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0};

    for (size_t i = 0; i < e->count; i++) {
        const struct nvl_setting *s = &e->items[i];
        bool has_script = e->config->node_hooks != NULL && nvl_strv_contains(e->config->node_hooks, s->value);
        if (s->owner == NVL_OWNER_BY_HAND && nvl_has_prefix(s->key, "lxc.hook."))
            nvl_hook_nodes(has_script ? host->root : NULL, s->value, &paths);
    }
    for (size_t i = 0; i < paths.count; i++) {
        if (strcmp(paths.items[i], "/dev/nvidia*") != 0)
            nvl_strv_push(nodes, paths.items[i]);
        for (size_t g = 0; strcmp(paths.items[i], "/dev/nvidia*") == 0 && g < host->gpus.count; g++)
            if (host->gpus.items[g].minor >= 0)
                nvl_strv_pushf(nodes, "/dev/nvidia%d", host->gpus.items[g].minor);
    }
}

static void take_devices(struct nvl_grant *grant, struct nvl_grant *from)
{
    grant->devices = from->devices;
    grant->selectors = TAKE_PTR(from->selectors);
    grant->n_selectors = from->n_selectors;
}

void nvl_adopt_gpus(const struct nvl_effective *effective, const struct nvl_host *host,
                    struct nvl_grant *grant, struct nvl_strv *warnings)
{
    struct said nvl_auto(said_clear) said = {0};
    struct nvl_grant nvl_auto(nvl_grant_clear) granted = {0};

    visit_lines(effective, take_said, &said);
    grant->devices = NVL_DEVICES_LIST;
    if (nvl_grant_parse(&granted, said.devices, NULL, NULL, NULL) == 0 &&
        granted.devices != NVL_DEVICES_VOID) {
        take_devices(grant, &granted);
        return;
    }
    add_hook_nodes(effective, host, &said.nodes);
    for (size_t i = 0; i < said.nodes.count; i++)
        take_node(said.nodes.items[i], host, grant, warnings);
    if (grant->n_selectors == 0 && nvl_effective_grant(effective, &granted, NULL) == 1 &&
        granted.devices != NVL_DEVICES_VOID)
        take_devices(grant, &granted);
}

/* ---- capabilities ---- */

/* A node of /dev/dri may come from a line that is not about NVIDIA and stays. */
static bool has_dri(const struct nvl_effective *e)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) nodes = {0};

    for (size_t i = 0; i < e->count; i++)
        nvl_setting_nodes(e->items[i].key, e->items[i].value, &nodes);
    for (size_t i = 0; i < nodes.count; i++)
        if (nvl_has_prefix(nodes.items[i], "/dev/dri"))
            return true;
    return false;
}

unsigned nvl_adopt_capabilities(const struct nvl_effective *effective)
{
    struct said nvl_auto(said_clear) said = {0};
    struct nvl_grant nvl_auto(nvl_grant_clear) own = {0};
    unsigned granted = nvl_effective_grant(effective, &own, NULL) == 1 ? own.capabilities : 0;
    unsigned capabilities = NVL_CAP_DEFAULT;

    if (visit_lines(effective, take_said, &said) == 0)
        return granted;
    if (said.capabilities != NULL && nvl_capabilities_parse(said.capabilities, &capabilities, NULL) == 0)
        return granted | capabilities;
    if (said.mounts_libraries)
        capabilities |= NVL_CAP_VIDEO;
    if (nvl_strv_contains(&said.nodes, "/dev/nvidia-modeset") && has_dri(effective))
        capabilities |= NVL_CAP_GRAPHICS;
    return granted | capabilities;
}

/* ---- what a container has ---- */

int nvl_holding_read(const struct nvl_container *c, const struct nvl_host *host, struct nvl_holding *holding,
                     struct nvl_error *err)
{
    struct nvl_config nvl_auto(nvl_config_clear) config = {0};
    struct nvl_effective nvl_auto(nvl_effective_clear) effective = {0};
    struct nvl_grant nvl_auto(nvl_grant_clear) grant = {0};

    *holding = (struct nvl_holding){0};
    int r = nvl_container_read_config(host->root, c, &config, err);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = nvl_effective_read(host->root, c, &config, &effective, err);
    if (r == 0)
        r = nvl_effective_grant(&effective, &grant, err);
    if (r < 0)
        return r;
    holding->is_by_hand = r == 0;
    holding->is_exclusive = grant.delivery.exclusive;
    if (holding->is_by_hand)
        nvl_adopt_gpus(&effective, host, &grant, NULL);
    if (grant.devices != NVL_DEVICES_LIST || grant.n_selectors > 0)
        nvl_grant_resolve(&grant, host, &holding->resolved);
    holding->grant = grant;
    grant = (struct nvl_grant){0};
    return 0;
}

void nvl_holding_clear(struct nvl_holding *holding)
{
    nvl_resolved_clear(&holding->resolved);
    nvl_grant_clear(&holding->grant);
}

bool nvl_holding_has(const struct nvl_holding *holding, const struct nvl_gpu *gpu, const struct nvl_mig *mig)
{
    for (size_t i = 0; i < holding->resolved.n_gpus; i++) {
        const struct nvl_resolved_gpu *given = &holding->resolved.gpus[i];
        if (given->gpu == gpu && (mig == NULL || given->mig == mig))
            return true;
    }
    return false;
}

/* ---- several containers and one GPU ---- */

/* A whole GPU includes all its MIG devices. */
static bool overlaps(const struct nvl_resolved_gpu *a, const struct nvl_resolved_gpu *b)
{
    return a->gpu == b->gpu && (a->mig == NULL || b->mig == NULL || a->mig == b->mig);
}

const struct nvl_resolved_gpu *nvl_holding_shares(const struct nvl_resolved *resolved,
                                                  const struct nvl_holding *other)
{
    for (size_t i = 0; i < resolved->n_gpus; i++)
        for (size_t k = 0; k < other->resolved.n_gpus; k++)
            if (overlaps(&resolved->gpus[i], &other->resolved.gpus[k]))
                return &resolved->gpus[i];
    return NULL;
}

char *nvl_holding_gpu_text(const struct nvl_resolved_gpu *g)
{
    nvl_autofree char *text = nvl_gpu_text(g->gpu);

    return g->mig != NULL ? nvl_xasprintf("MIG device %u/%u of %s", g->mig->gi, g->mig->ci, text)
                          : TAKE_PTR(text);
}
