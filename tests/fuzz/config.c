/* A container's config, in the dialect that the build gives this target: attach, attach again, detach; and
 * all that reads its settings. */
#include "fuzz.h"

#include "../unit/effective.h"
#include "../unit/round_trip.h"
#include "container/device_rules.h"
#include "container/holding.h"
#include "container/hook_environment.h"
#include "container/idmap.h"
#include "container/library_path.h"
#include "container/node_makers.h"
#include "container/owned_lines.h"

/* Whoever is known outside is known inside, by the same number. */
static void check_idmap(const struct nvl_effective *effective)
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

static void check_rules(const struct nvl_container *c, const struct nvl_effective *effective)
{
    nvl_auto(nvl_device_rules_clear) struct nvl_device_rules rules = {0};

    nvl_device_rules_read(c, effective, true, &rules);
    nvl_device_rules_allow(&rules, "/dev/nvidia0", 195, 0);
    nvl_device_filter(c, effective);
}

static void check_makers(const struct nvl_effective *effective)
{
    nvl_auto(nvl_node_makers_clear) struct nvl_node_makers makers = {0};

    nvl_node_makers_find(NULL, effective, &makers);
    for (size_t i = 0; i < makers.count; i++) {
        CHECK(nvl_has_prefix(makers.items[i].path, "/dev"));
        nvl_node_maker_before(&makers, i);
    }
}

static void check_settings(const struct nvl_config *config)
{
    const struct nvl_container c = {.kind = config->dialect == NVL_DIALECT_PVE ? NVL_CONTAINER_PVE
                                                                               : NVL_CONTAINER_LXC,
                                    .name = "100",
                                    .lxc_name = "100"};
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = effective_of(config);
    nvl_auto(nvl_strv_clear) struct nvl_strv lines = {0};
    nvl_auto(nvl_hook_dangers_clear) struct nvl_hook_dangers dangers = {0};
    nvl_auto(nvl_library_path_clear) struct nvl_library_path path = {0};

    check_idmap(&effective);
    check_rules(&c, &effective);
    check_makers(&effective);
    nvl_effective_by_hand(&effective, &lines);
    nvl_config_stray_lines(config, &lines);
    nvl_config_entries(config, &lines);
    nvl_config_rules(config, &lines);
    nvl_hook_dangers_find(fuzz_root(), &c, &effective, &dangers);
    nvl_library_path_read(&effective, NULL, "/usr/local/nvidia", &path);
    CHECK((nvl_adopt_capabilities(&effective) & ~NVL_CAP_ALL) == 0);
}

/* The lines are the text. */
static void check_lines(const struct nvl_config *config)
{
    size_t at = 0;

    for (size_t i = 0; i < config->n_lines; i++) {
        CHECK(config->lines[i].start == at && config->lines[i].len > 0);
        at += config->lines[i].len;
        if (config->lines[i].kind == NVL_LINE_KEY)
            CHECK(config->lines[i].key != NULL && config->lines[i].value != NULL);
    }
    CHECK(at == config->len);
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    unsigned way = fuzz_choice(&in, (unsigned)n_ways(FUZZ_DIALECT)), replace = fuzz_choice(&in, 2);
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    nvl_auto(nvl_grant_clear) struct nvl_grant had = {0};
    char *text = nvl_xcalloc(in.len + 1, 1);

    memcpy(text, in.data, in.len);
    if (nvl_config_parse(&config, FUZZ_DIALECT, text, in.len, NULL) < 0)
        return;
    check_lines(&config);
    check_settings(&config);
    /* what is left of an earlier grant counts as nvlxc's */
    bool had_grant = grant_of(&config, &had, NULL) != 0 || memmem(in.data, in.len, "nvlxc", 5) != NULL;
    nvl_autofree char *wrong = round_trip(FUZZ_DIALECT, in.data, in.len, &ways[way], replace != 0, had_grant);
    if (wrong != NULL) {
        fprintf(stderr, "%s\n", wrong);
        CHECK(wrong == NULL);
    }
}
