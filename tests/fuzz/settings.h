/* What must hold of an effective config, whatever it is made of. */
#pragma once

#include "fuzz.h"

#include "container/container.h"
#include "container/device_rules.h"
#include "container/effective.h"
#include "container/holding.h"
#include "container/hook_environment.h"
#include "container/idmap.h"
#include "container/library_path.h"
#include "container/node_makers.h"
#include "container/owned_lines.h"

/* Whoever is known outside is known inside, by the same number. */
static inline void check_idmap(const struct nvl_effective *effective)
{
    nvl_autofree struct nvl_idmap *map = nvl_xcalloc(1, sizeof *map);
    unsigned outside, inside;

    if (nvl_idmap_read(effective, map, NULL) < 0)
        return;
    CHECK(map->count <= NVL_LENGTH(map->items));
    for (size_t i = 0; i < map->count; i++) {
        const struct nvl_mapping *m = &map->items[i];
        CHECK(m->kind == 'u' || m->kind == 'g');
        if (nvl_idmap_outside(map, m->kind, m->inside, &outside))
            CHECK(nvl_idmap_inside(map, m->kind, outside, &inside));
    }
}

static inline void check_rules(const struct nvl_container *c, const struct nvl_effective *effective)
{
    nvl_auto(nvl_device_rules_clear) struct nvl_device_rules rules = {0};

    nvl_device_rules_read(c, effective, true, &rules);
    nvl_device_rules_allow(&rules, "/dev/nvidia0", 195, 0);
    nvl_device_filter(c, effective);
}

static inline void check_makers(const struct nvl_effective *effective)
{
    nvl_auto(nvl_node_makers_clear) struct nvl_node_makers makers = {0};

    nvl_node_makers_find(NULL, effective, &makers);
    for (size_t i = 0; i < makers.count; i++) {
        CHECK(nvl_has_prefix(makers.items[i].path, "/dev"));
        nvl_node_maker_before(&makers, i);
    }
}

/* All readers of an effective config. */
static inline void check_settings(const struct nvl_container *c, const struct nvl_effective *effective)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv lines = {0};
    nvl_auto(nvl_hook_dangers_clear) struct nvl_hook_dangers dangers = {0};
    nvl_auto(nvl_library_path_clear) struct nvl_library_path path = {0};

    check_idmap(effective);
    check_rules(c, effective);
    check_makers(effective);
    nvl_effective_by_hand(effective, &lines);
    nvl_config_stray_lines(effective->config, &lines);
    nvl_config_entries(effective->config, &lines);
    nvl_config_rules(effective->config, &lines);
    nvl_hook_dangers_find(fuzz_root(), c, effective, &dangers);
    nvl_library_path_read(effective, NULL, "/usr/local/nvidia", &path);
    CHECK((nvl_adopt_capabilities(effective) & ~NVL_CAP_ALL) == 0);
}
