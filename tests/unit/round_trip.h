/* What always holds of attach and detach, whatever the config: a second attach changes nothing, and detach
 * gives the first config back. For the unit tests and tests/fuzz. */
#pragma once

#include "base/text.h"
#include "container/config.h"
#include "container/grant_lines.h"
#include "plan/diff.h"
#include "plan/plan.h"

/* One way to carry a grant out, with what its lines name. */
struct way {
    enum nvl_nodes_mode nodes;
    enum nvl_libraries_mode libraries;
    const char *rules[3], *paths[3], *folders[2]; /* each ends with NULL */
};
static const struct way ways[] = {
    {NVL_NODES_HOOK, NVL_LIBRARIES_BUNDLE, .rules = {"/dev/nvidia0", "/dev/dri/card1"}},
    {NVL_NODES_STATIC, NVL_LIBRARIES_HOST, .paths = {"/dev/nvidia0", "/dev/dri/card1"},
     .folders = {"/usr/lib64"}},
    {NVL_NODES_DEV, NVL_LIBRARIES_NONE, .paths = {"/dev/nvidia0", "/dev/dri/card1"}},
};

/* The last way is Proxmox's alone. */
static inline size_t n_ways(enum nvl_dialect dialect)
{
    return dialect == NVL_DIALECT_PVE ? NVL_LENGTH(ways) : NVL_LENGTH(ways) - 1;
}

/* -errno also for a text that is no config. */
static inline int attach(enum nvl_dialect dialect, const char *text, size_t len, const struct way *way,
                         bool replace, struct nvl_plan *plan)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    nvl_auto(nvl_grant_places_clear) struct nvl_grant_places places = {0};
    struct nvl_error err = {0};

    int r = nvl_config_parse(&config, dialect, nvl_xstrndup(text, len), len, &err);
    if (r == 0)
        r = nvl_grant_parse(&grant, "all", NULL, "compute,graphics", &err);
    if (r < 0)
        return r;
    grant.delivery.nodes = way->nodes;
    grant.delivery.libraries = way->libraries;
    for (size_t i = 0; way->rules[i] != NULL; i++)
        nvl_strv_push(&places.rules, way->rules[i]);
    for (size_t i = 0; way->paths[i] != NULL; i++)
        nvl_strv_push(&places.nodes, way->paths[i]);
    for (size_t i = 0; way->folders[i] != NULL; i++)
        nvl_strv_push(&places.libraries, way->folders[i]);
    return nvl_plan_attach(&config, &grant, &places, replace, plan, &err);
}

static inline int detach(enum nvl_dialect dialect, const char *text, size_t len, bool replace,
                         struct nvl_plan *plan)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};

    int r = nvl_config_parse(&config, dialect, nvl_xstrndup(text, len), len, NULL);
    return r < 0 ? r : nvl_plan_detach(&config, replace, plan, NULL);
}

/* NULL if the plan's text is this; else a diff, the caller's. */
static inline char *difference(const char *what, const struct nvl_plan *plan, const char *text, size_t len)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf diff = {0};

    nvl_diff(&diff, what, text, len, "is", plan->text, plan->len);
    return diff.len > 0 ? nvl_buf_take(&diff) : NULL;
}

/* NULL if all holds, also if there are lines by hand in the way; else what does not, the caller's. A config
 * that had a grant does not come back. */
static inline char *round_trip(enum nvl_dialect dialect, const char *text, size_t len, const struct way *way,
                               bool replace, bool had_grant)
{
    nvl_auto(nvl_plan_clear) struct nvl_plan on = {0}, again = {0}, off = {0}, bare = {0};

    if (attach(dialect, text, len, way, replace, &on) < 0)
        return NULL;
    if (attach(dialect, on.text, on.len, way, replace, &again) < 0)
        return nvl_xstrdup("the second attach fails");
    char *wrong = difference("the first attach", &again, on.text, on.len);
    if (wrong != NULL || had_grant)
        return wrong;
    if (detach(dialect, on.text, on.len, false, &off) < 0 || detach(dialect, text, len, replace, &bare) < 0)
        return nvl_xstrdup("detach fails");
    wrong = difference("without a GPU", &off, bare.text, bare.len);
    return wrong != NULL || replace ? wrong : difference("before attach", &bare, text, len);
}
