/* Reads a container's id map, and translates by it. */
#include "container/idmap.h"

#include <errno.h>

#include "base/error.h"

#define PVE_BASE  100000 /* PVE::LXC::parse_id_maps: u and g 0 100000 65536 */
#define PVE_COUNT 65536

/* Kind, first id in the container, first on the host, how many. */
bool nvl_mapping_parse(const char *value, struct nvl_mapping *mapping)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    uint64_t n[3];

    nvl_strv_split(&words, value, " \t");
    bool good = words.count == 4 && (strcmp(words.items[0], "u") == 0 || strcmp(words.items[0], "g") == 0);
    for (size_t i = 0; good && i < 3; i++)
        good = nvl_parse_uint(words.items[i + 1], 10, UINT32_MAX, &n[i]) == 0;
    if (good)
        *mapping = (struct nvl_mapping){.kind = words.items[0][0],
                                        .inside = (unsigned)n[0],
                                        .outside = (unsigned)n[1],
                                        .count = (unsigned)n[2]};
    return good;
}

static int take_mapping(struct nvl_idmap *map, const char *value, struct nvl_error *err)
{
    struct nvl_mapping mapping;
    size_t of_kind = 0;

    if (!nvl_mapping_parse(value, &mapping)) {
        nvl_error_set(err, -EINVAL, "lxc.idmap: '%.80s' is not a mapping", value);
        nvl_error_hint(err, "a mapping looks like \"u 0 100000 65536\"");
        return -EINVAL;
    }
    for (size_t i = 0; i < map->count; i++)
        of_kind += map->items[i].kind == mapping.kind;
    if (of_kind == NVL_IDMAP_KIND_MAX)
        return nvl_error_set(err, -EINVAL, "lxc.idmap: more than %d lines for '%c': the kernel takes no more",
                             NVL_IDMAP_KIND_MAX, mapping.kind);
    map->items[map->count++] = mapping;
    return 0;
}

/* Moves `id` from one side of the mapping to the other. */
static bool translate(const struct nvl_mapping *m, bool outwards, unsigned id, unsigned *translated)
{
    unsigned from = outwards ? m->inside : m->outside, to = outwards ? m->outside : m->inside;

    if (id < from || id - from >= m->count || id - from > UINT32_MAX - to)
        return false;
    *translated = to + (id - from);
    return true;
}

static bool find_id(const struct nvl_idmap *map, bool outwards, char kind, unsigned id, unsigned *translated)
{
    *translated = id;
    for (size_t i = 0; i < map->count; i++)
        if (map->items[i].kind == kind && translate(&map->items[i], outwards, id, translated))
            return true;
    return map->privileged;
}

bool nvl_idmap_outside(const struct nvl_idmap *map, char kind, unsigned inside, unsigned *outside)
{
    return find_id(map, true, kind, inside, outside);
}

bool nvl_idmap_inside(const struct nvl_idmap *map, char kind, unsigned outside, unsigned *inside)
{
    return find_id(map, false, kind, outside, inside);
}

/* LXC then fails in the new user namespace ("newuidmap", or setgid to an id that is not mapped). */
static int require_root(const struct nvl_effective *effective, struct nvl_idmap *map, struct nvl_error *err)
{
    bool has_u = nvl_idmap_outside(map, 'u', 0, &map->uid0),
         has_g = nvl_idmap_outside(map, 'g', 0, &map->gid0);

    if (has_u && has_g)
        return 0;
    nvl_error_set(err, -EINVAL, "%s: lxc.idmap maps the container's root to no %s of the host",
                  effective->path, has_u ? "group" : "user");
    nvl_error_hint(err, "add a line like \"%s 0 100000 65536\"", has_u ? "g" : "u");
    return -EINVAL;
}

int nvl_idmap_read(const struct nvl_effective *effective, struct nvl_idmap *map, struct nvl_error *err)
{
    *map = (struct nvl_idmap){0};
    for (size_t i = 0; i < effective->count; i++) {
        const struct nvl_setting *s = &effective->items[i];
        int r = strcmp(s->key, NVL_KEY_IDMAP) == 0 ? take_mapping(map, s->value, err) : 0;
        if (r < 0)
            return nvl_error_prefix(err, "%s:%zu", s->file, s->number);
    }
    if (map->count == 0 && effective->config->dialect == NVL_DIALECT_PVE &&
        nvl_effective_says_yes(effective, "unprivileged")) {
        map->items[map->count++] = (struct nvl_mapping){'u', 0, PVE_BASE, PVE_COUNT};
        map->items[map->count++] = (struct nvl_mapping){'g', 0, PVE_BASE, PVE_COUNT};
    }
    map->privileged = map->count == 0;
    return map->privileged ? 0 : require_root(effective, map, err);
}
