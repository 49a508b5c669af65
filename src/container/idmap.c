/* Finds the host's user that is a container's root. */
#include "container/idmap.h"

#include <errno.h>

#include "base/error.h"

#define PVE_BASE 100000 /* PVE::LXC::parse_id_maps: u and g 0 100000 65536 */

struct root_ids {
    unsigned lines;    /* lxc.idmap lines in force */
    bool has_u, has_g; /* one maps the container's 0 */
    unsigned uid0, gid0;
};

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

static int take_mapping(struct root_ids *m, const char *value, struct nvl_error *err)
{
    struct nvl_mapping mapping;

    if (!nvl_mapping_parse(value, &mapping)) {
        nvl_error_set(err, -EINVAL, "lxc.idmap: '%.80s' is not a mapping", value);
        nvl_error_hint(err, "a mapping looks like \"u 0 100000 65536\"");
        return -EINVAL;
    }
    m->lines++;
    if (mapping.inside != 0 || mapping.count == 0)
        return 0;
    bool *has = mapping.kind == 'u' ? &m->has_u : &m->has_g;
    unsigned *id = mapping.kind == 'u' ? &m->uid0 : &m->gid0;
    if (!*has) /* liblxc keeps the first that maps root */
        *id = mapping.outside;
    *has = true;
    return 0;
}

int nvl_idmap_read(const struct nvl_effective *effective, struct nvl_idmap *map, struct nvl_error *err)
{
    struct root_ids m = {0};

    *map = (struct nvl_idmap){0};
    for (size_t i = 0; i < effective->count; i++) {
        const struct nvl_setting *s = &effective->items[i];
        int r = strcmp(s->key, NVL_KEY_IDMAP) == 0 ? take_mapping(&m, s->value, err) : 0;
        if (r < 0)
            return nvl_error_prefix(err, "%s:%zu", s->file, s->number);
    }
    if (m.lines > 0 && (!m.has_u || !m.has_g)) {
        nvl_error_set(err, -EINVAL, "%s: lxc.idmap maps the container's root to no %s of the host",
                      effective->path, m.has_u ? "group" : "user");
        nvl_error_hint(err, "add a line like \"%s 0 100000 65536\"", m.has_u ? "g" : "u");
        return -EINVAL;
    }
    if (m.lines > 0)
        *map = (struct nvl_idmap){.uid0 = m.uid0, .gid0 = m.gid0};
    else if (effective->config->dialect == NVL_DIALECT_PVE &&
             nvl_effective_says_yes(effective, "unprivileged"))
        *map = (struct nvl_idmap){.uid0 = PVE_BASE, .gid0 = PVE_BASE};
    else
        map->privileged = true;
    return 0;
}
