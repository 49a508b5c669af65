/* What lines that were written by hand give a container, as a grant. */
#include "attach/adopt.h"

#include <limits.h>

#include "container/foreign.h"
#include "container/grant_lines.h"

/* The lines that `attach --replace` would take out, by hand or astray, each as it is looked at. */
struct lines {
    const struct nvl_config *config;
    enum nvl_line_owner *owners;
    bool *strays; /* NULL for none */
};

static struct lines lines_of(const struct nvl_config *config)
{
    return (struct lines){config, nvl_config_owners(config), nvl_config_strays(config)};
}

static void lines_clear(struct lines *lines)
{
    free(lines->owners);
    free(lines->strays);
}

static bool is_one(const struct lines *lines, size_t i)
{
    return lines->owners[i] == NVL_OWNER_BY_HAND || (lines->strays != NULL && lines->strays[i]);
}

/* The value of an NVIDIA variable among the lines; the last one counts. */
static const char *variable(const struct lines *lines, const char *name)
{
    const char *value = NULL;
    size_t len = strlen(name);

    for (size_t i = 0; i < lines->config->n_lines; i++) {
        const struct nvl_line *line = &lines->config->lines[i];
        if (is_one(lines, i) && strcmp(line->key, "lxc.environment") == 0 &&
            strncmp(line->value, name, len) == 0 && line->value[len] == '=')
            value = line->value + len + 1;
    }
    return value;
}

static void nodes_of(const struct lines *lines, struct nvl_strv *nodes)
{
    for (size_t i = 0; i < lines->config->n_lines; i++)
        if (is_one(lines, i))
            nvl_line_nodes(&lines->config->lines[i], nodes);
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
            nvl_strv_pushf(warnings, "the replaced lines name %s, which is no GPU of this host", path);
        return;
    }
    const char *text = gpu->uuid[0] != '\0' ? gpu->uuid : gpu->pci;
    for (size_t i = 0; i < grant->n_selectors; i++)
        if (strcmp(grant->selectors[i].text, text) == 0)
            return;
    nvl_selector_parse(text, NVL_APPEND(grant->selectors, grant->n_selectors), NULL);
}

static void take_devices(struct nvl_grant *grant, struct nvl_grant *from)
{
    grant->devices = from->devices;
    grant->selectors = TAKE_PTR(from->selectors);
    grant->n_selectors = from->n_selectors;
}

void nvl_adopt_gpus(const struct nvl_config *config, const struct nvl_host *host, struct nvl_grant *grant,
                    struct nvl_strv *warnings)
{
    struct lines nvl_auto(lines_clear) lines = lines_of(config);
    struct nvl_strv nvl_auto(nvl_strv_clear) nodes = {0};
    struct nvl_grant nvl_auto(nvl_grant_clear) said = {0};

    grant->devices = NVL_DEVICES_LIST;
    if (nvl_grant_parse(&said, variable(&lines, NVL_ENV_DEVICES), NULL, NULL) == 0 &&
        said.devices != NVL_DEVICES_VOID) {
        take_devices(grant, &said);
        return;
    }
    nodes_of(&lines, &nodes);
    for (size_t i = 0; i < nodes.count; i++)
        take_node(nodes.items[i], host, grant, warnings);
    if (grant->n_selectors == 0 && nvl_config_grant(config, &said, NULL) == 1 &&
        said.devices != NVL_DEVICES_VOID)
        take_devices(grant, &said);
}

/* ---- capabilities ---- */

static bool mounts_libraries(const struct lines *lines)
{
    for (size_t i = 0; i < lines->config->n_lines; i++) {
        const struct nvl_line *line = &lines->config->lines[i];
        if (!is_one(lines, i) || strcmp(line->key, "lxc.mount.entry") != 0)
            continue;
        nvl_autofree char *source = nvl_xstrndup(line->value, strcspn(line->value, " \t"));
        if (strstr(source, "/lib") != NULL && !nvl_has_suffix(source, "/nvidia-smi"))
            return true;
    }
    return false;
}

/* A node of /dev/dri may come by a line that is not about NVIDIA, and stays. */
static bool has_dri(const struct nvl_config *config)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) nodes = {0};

    for (size_t i = 0; i < config->n_lines && config->lines[i].section == 0; i++)
        nvl_line_nodes(&config->lines[i], &nodes);
    for (size_t i = 0; i < nodes.count; i++)
        if (nvl_has_prefix(nodes.items[i], "/dev/dri"))
            return true;
    return false;
}

static unsigned capabilities_by_hand(const struct lines *lines)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) nodes = {0};
    const char *said = variable(lines, NVL_ENV_CAPABILITIES);
    unsigned capabilities = NVL_CAP_DEFAULT;

    if (said != NULL && nvl_capabilities_parse(said, &capabilities, NULL) == 0)
        return capabilities;
    nodes_of(lines, &nodes);
    if (mounts_libraries(lines))
        capabilities |= NVL_CAP_VIDEO;
    if (nvl_strv_contains(&nodes, "/dev/nvidia-modeset") && has_dri(lines->config))
        capabilities |= NVL_CAP_GRAPHICS;
    return capabilities;
}

unsigned nvl_adopt_capabilities(const struct nvl_config *config)
{
    struct lines nvl_auto(lines_clear) lines = lines_of(config);
    struct nvl_grant nvl_auto(nvl_grant_clear) own = {0};
    unsigned capabilities = nvl_config_grant(config, &own, NULL) == 1 ? own.capabilities : 0;

    for (size_t i = 0; i < config->n_lines; i++)
        if (is_one(&lines, i))
            return capabilities | capabilities_by_hand(&lines);
    return capabilities;
}
