/* Reads Proxmox's files about where guests may go. */
#include "cluster/moves.h"

#include <errno.h>

#include "base/root.h"

#define FILE_MAX     (1u << 20) /* pmxcfs has no larger files */
#define SECTIONS_MAX 4096

/* ---- the form of the files ---- */

static void take_key(struct nvl_section *section, const char *line)
{
    size_t len = strcspn(line, " \t");
    nvl_autofree char *key = nvl_xstrndup(line, len);

    nvl_strv_push(&section->keys, key);
    nvl_strv_push(&section->values, line + len + strspn(line + len, " \t"));
}

static void begin_section(struct nvl_sections *sections, const char *line)
{
    const char *colon = strchr(line, ':');

    if (colon == NULL || sections->count == SECTIONS_MAX)
        return;
    struct nvl_section *section = NVL_APPEND(sections->items, sections->count);
    section->kind = nvl_xstrndup(line, (size_t)(colon - line));
    section->name = nvl_xstrdup(colon + 1 + strspn(colon + 1, " \t"));
}

/* A line at the margin begins a section, an indented one belongs to the last; an empty line ends it. */
void nvl_sections_parse(const char *text, size_t len, struct nvl_sections *sections)
{
    size_t pos = 0, line_len;
    const char *line;
    bool is_open = false;

    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        while (line_len > 0 && strchr(" \t\r", line[line_len - 1]) != NULL)
            line_len--;
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        size_t blanks = strspn(copy, " \t"), before = sections->count;
        if (copy[blanks] == '#')
            continue;
        if (copy[0] == '\0') {
            is_open = false;
        } else if (blanks == 0) {
            begin_section(sections, copy);
            is_open = sections->count > before;
        } else if (is_open) {
            take_key(&sections->items[sections->count - 1], copy + blanks);
        }
    }
}

void nvl_sections_clear(struct nvl_sections *sections)
{
    for (size_t i = 0; i < sections->count; i++) {
        free(sections->items[i].kind);
        free(sections->items[i].name);
        nvl_strv_clear(&sections->items[i].keys);
        nvl_strv_clear(&sections->items[i].values);
    }
    free(sections->items);
    *sections = (struct nvl_sections){0};
}

static const char *section_value(const struct nvl_section *section, const char *key)
{
    for (size_t i = 0; i < section->keys.count; i++)
        if (strcmp(section->keys.items[i], key) == 0)
            return section->values.items[i];
    return NULL;
}

static bool is_set(const struct nvl_section *section, const char *key)
{
    const char *value = section_value(section, key);

    return value != NULL && strcmp(value, "0") != 0 && strcmp(value, "no") != 0 && strcmp(value, "off") != 0;
}

static const struct nvl_section *find_section(const struct nvl_sections *sections, const char *kind,
                                              const char *name)
{
    for (size_t i = 0; i < sections->count; i++)
        if (strcmp(sections->items[i].kind, kind) == 0 && strcmp(sections->items[i].name, name) == 0)
            return &sections->items[i];
    return NULL;
}

/* Whether a list "pve1:2,pve2" has the word, whatever its priority. */
static bool list_has(const char *list, const char *word)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    nvl_strv_split(&words, list != NULL ? list : "", ",; ");
    for (size_t i = 0; i < words.count; i++) {
        nvl_autofree char *name = nvl_xstrndup(words.items[i], strcspn(words.items[i], ":"));
        if (strcmp(name, word) == 0 || strcmp(words.items[i], word) == 0)
            return true;
    }
    return false;
}

/* ---- who may go where ---- */

/* Only a restricted group keeps its resources from other nodes; the others prefer. */
static bool group_allows(const struct nvl_moves *moves, const struct nvl_section *resource, const char *node)
{
    const char *name = section_value(resource, "group");
    const struct nvl_section *group = name != NULL ? find_section(&moves->groups, "group", name) : NULL;

    return group == NULL || !is_set(group, "restricted") || list_has(section_value(group, "nodes"), node);
}

static bool rules_allow(const struct nvl_moves *moves, const char *resource, const char *node)
{
    for (size_t i = 0; i < moves->rules.count; i++) {
        const struct nvl_section *rule = &moves->rules.items[i];
        if (strcmp(rule->kind, "node-affinity") == 0 && !is_set(rule, "disable") && is_set(rule, "strict") &&
            list_has(section_value(rule, "resources"), resource) &&
            !list_has(section_value(rule, "nodes"), node))
            return false;
    }
    return true;
}

/* A resource that is ignored or disabled stays where it is. */
static bool ha_moves(const struct nvl_moves *moves, const char *ctid, const char *node)
{
    nvl_autofree char *id = nvl_xasprintf("ct:%s", ctid);
    const struct nvl_section *resource = find_section(&moves->resources, "ct", ctid);
    const char *state = resource != NULL ? section_value(resource, "state") : NULL;

    if (resource == NULL ||
        (state != NULL && (strcmp(state, "ignored") == 0 || strcmp(state, "disabled") == 0)))
        return false;
    return group_allows(moves, resource, node) && rules_allow(moves, id, node);
}

/* A job is "local: 220-0". */
static bool is_replicated(const struct nvl_moves *moves, const char *ctid, const char *node)
{
    for (size_t i = 0; i < moves->replication.count; i++) {
        const struct nvl_section *job = &moves->replication.items[i];
        const char *target = section_value(job, "target");
        size_t len = strcspn(job->name, "-");
        if (len == strlen(ctid) && strncmp(job->name, ctid, len) == 0 && job->name[len] == '-' &&
            target != NULL && strcmp(target, node) == 0)
            return true;
    }
    return false;
}

unsigned nvl_moves_to(const struct nvl_moves *moves, const char *ctid, const char *node)
{
    return (ha_moves(moves, ctid, node) ? (unsigned)NVL_MOVE_HA : 0) |
           (is_replicated(moves, ctid, node) ? (unsigned)NVL_MOVE_REPLICATION : 0);
}

const char *nvl_move_text(unsigned reasons)
{
    return reasons == NVL_MOVE_HA            ? "HA"
           : reasons == NVL_MOVE_REPLICATION ? "replication"
           : reasons != 0                    ? "HA and replication"
                                             : "";
}

/* ---- the files ---- */

static int read_sections(const struct nvl_root *root, const char *path, struct nvl_sections *sections,
                         struct nvl_error *err)
{
    nvl_autofree char *text = NULL;
    size_t len;

    int r = nvl_root_read(root, path, FILE_MAX, &text, &len);
    if (r == -ENOENT || r == -ENOTDIR)
        return 0;
    if (r < 0)
        return nvl_error_errno(err, r, "cannot read %s, which says where containers may move", path);
    nvl_sections_parse(text, len, sections);
    return 0;
}

int nvl_moves_read(const struct nvl_root *root, struct nvl_moves *moves, struct nvl_error *err)
{
    *moves = (struct nvl_moves){0};
    int r = read_sections(root, "/etc/pve/ha/resources.cfg", &moves->resources, err);
    if (r == 0)
        r = read_sections(root, "/etc/pve/ha/groups.cfg", &moves->groups, err);
    if (r == 0)
        r = read_sections(root, "/etc/pve/ha/rules.cfg", &moves->rules, err);
    if (r == 0)
        r = read_sections(root, "/etc/pve/replication.cfg", &moves->replication, err);
    return r;
}

void nvl_moves_clear(struct nvl_moves *moves)
{
    nvl_sections_clear(&moves->resources);
    nvl_sections_clear(&moves->groups);
    nvl_sections_clear(&moves->rules);
    nvl_sections_clear(&moves->replication);
}
