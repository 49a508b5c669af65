/* A config as lines. This file changes nothing: every line knows its place in the text, so that writing it
 * back gives the same bytes. The two grammars: PVE/LXC/Config.pm of pve-container, and liblxc's parser. */
#include "container/config.h"

#include <errno.h>

#include "base/error.h"
#include "base/text.h"
#include "container/entry.h"

#define PENDING "pve:pending"

/* What Perl's \s and liblxc treat as blank. */
static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The text between two places, without surrounding blanks. */
static char *copy_trimmed(const char *start, const char *end)
{
    while (start < end && is_blank(*start))
        start++;
    while (end > start && is_blank(end[-1]))
        end--;
    return nvl_xstrndup(start, (size_t)(end - start));
}

static bool is_rest_blank(const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    return p == end;
}

/* "[name]" with two characters or more, and "[pve:pending]"; blanks may follow, and the case is ignored. */
static bool parse_pve_section(const char *p, const char *end, struct nvl_line *line)
{
    const char *close = memchr(p, ']', (size_t)(end - p));

    if (*p != '[' || close == NULL || !is_rest_blank(close + 1, end))
        return false;
    nvl_autofree char *name = nvl_xstrndup(p + 1, (size_t)(close - p - 1));
    if (strcasecmp(name, PENDING) != 0) {
        size_t len = strlen(name);
        if (len < 2 || !is_lower((char)(name[0] | 0x20)))
            return false;
        for (size_t i = 1; i < len; i++)
            if (!is_lower((char)(name[i] | 0x20)) && !is_digit(name[i]) && name[i] != '_' && name[i] != '-')
                return false;
    }
    line->key = TAKE_PTR(name);
    return true;
}

/* Raw LXC lines, "lxc.key: value" or "lxc.key = value": no blank before the colon, any number before the
 * equals sign. */
static bool parse_pve_raw(const char *p, const char *end, struct nvl_line *line)
{
    const char *q = p + 4;

    if (end - p < 5 || memcmp(p, "lxc.", 4) != 0)
        return false;
    while (q < end && (is_lower(*q) || is_digit(*q) || *q == '_' || *q == '-' || *q == '.'))
        q++;
    const char *key_end = q;
    if (q < end && *q != ':')
        while (q < end && is_blank(*q))
            q++;
    if (key_end == p + 4 || q == end || (*q != '=' && (*q != ':' || q != key_end)))
        return false;
    line->key = nvl_xstrndup(p, (size_t)(key_end - p));
    line->value = copy_trimmed(q + 1, end);
    return true;
}

/* Proxmox's own keys: letters and underscores, then digits, then immediately the colon, and something after
 * it. */
static bool parse_pve_typed(const char *p, const char *end, struct nvl_line *line)
{
    const char *q = p;

    if (q == end || !is_lower(*q))
        return false;
    while (q < end && (is_lower(*q) || *q == '_'))
        q++;
    while (q < end && is_digit(*q))
        q++;
    if (q == end || *q != ':' || is_rest_blank(q + 1, end))
        return false;
    line->key = nvl_xstrndup(p, (size_t)(q - p));
    line->value = copy_trimmed(q + 1, end);
    return true;
}

static enum nvl_line_kind parse_pve_line(const char *p, const char *end, struct nvl_line *line)
{
    if (is_rest_blank(p, end))
        return NVL_LINE_BLANK;
    if (parse_pve_section(p, end, line))
        return NVL_LINE_SECTION;
    if (*p == '#')
        return NVL_LINE_COMMENT;
    return parse_pve_raw(p, end, line) || parse_pve_typed(p, end, line) ? NVL_LINE_KEY : NVL_LINE_UNKNOWN;
}

/* Removes quotes around the whole value, as liblxc does. */
static void unquote(char *value)
{
    size_t len = strlen(value);

    if (len > 1 && (value[0] == '"' || value[0] == '\'') && value[len - 1] == value[0]) {
        memmove(value, value + 1, len - 2);
        value[len - 2] = '\0';
    }
}

static enum nvl_line_kind parse_lxc_line(const char *p, const char *end, struct nvl_line *line)
{
    if (is_rest_blank(p, end))
        return NVL_LINE_BLANK;
    while (*p == ' ' || *p == '\t')
        p++;
    if (*p == '#')
        return NVL_LINE_COMMENT;
    const char *equals = memchr(p, '=', (size_t)(end - p));
    if (equals == NULL || end - p < 4 || memcmp(p, "lxc.", 4) != 0)
        return NVL_LINE_UNKNOWN;
    line->key = copy_trimmed(p, equals);
    line->value = copy_trimmed(equals + 1, end);
    unquote(line->value);
    return NVL_LINE_KEY;
}

static void parse_lines(struct nvl_config *config)
{
    const char *start;
    size_t pos = 0, len, section = 0;

    while (nvl_next_line(config->text, config->len, &pos, &start, &len)) {
        struct nvl_line *line = NVL_APPEND(config->lines, config->n_lines);
        line->start = (size_t)(start - config->text);
        line->len = pos - line->start;
        line->kind = config->dialect == NVL_DIALECT_PVE ? parse_pve_line(start, start + len, line)
                                                        : parse_lxc_line(start, start + len, line);
        if (line->kind == NVL_LINE_SECTION)
            section++;
        line->section = section;
    }
}

int nvl_config_parse(struct nvl_config *config, enum nvl_dialect dialect, char *text, size_t len,
                     struct nvl_error *err)
{
    *config = (struct nvl_config){.dialect = dialect, .majors = NVL_MAJORS_UNKNOWN};
    nvl_autofree char *taken = text;
    if (len > NVL_CONFIG_MAX)
        return nvl_error_set(err, -EFBIG, "the config is larger than %u MiB", NVL_CONFIG_MAX >> 20);
    const char *nul = memchr(taken, '\0', len);
    if (nul != NULL) {
        size_t line = 1;
        for (const char *p = taken; p < nul; p++)
            line += *p == '\n';
        nvl_error_set(err, -EINVAL, "the config is not a text: line %zu contains a NUL byte", line);
        nvl_error_hint(err, "the file is damaged or not a config; restore it from a backup");
        return -EINVAL;
    }
    config->text = TAKE_PTR(taken);
    config->len = len;
    parse_lines(config);
    return 0;
}

void nvl_config_clear(struct nvl_config *config)
{
    for (size_t i = 0; i < config->n_lines; i++) {
        free(config->lines[i].key);
        free(config->lines[i].value);
    }
    free(config->lines);
    free(config->text);
    if (config->node_hooks != NULL)
        nvl_strv_clear(config->node_hooks);
    free(config->node_hooks);
    *config = (struct nvl_config){0};
}

int nvl_config_parse_next(struct nvl_config *next, const struct nvl_config *from, char *text, size_t len,
                          struct nvl_error *err)
{
    int r = nvl_config_parse(next, from->dialect, text, len, err);

    if (r < 0)
        return r;
    next->majors = from->majors;
    next->instance = from->instance;
    for (size_t i = 0; from->node_hooks != NULL && i < from->node_hooks->count; i++)
        nvl_config_add_node_hook(next, from->node_hooks->items[i]);
    return 0;
}

void nvl_config_add_node_hook(struct nvl_config *config, const char *value)
{
    if (config->node_hooks == NULL)
        config->node_hooks = nvl_xcalloc(1, sizeof *config->node_hooks);
    nvl_strv_push(config->node_hooks, value);
}

bool nvl_line_is_raw(const struct nvl_line *line)
{
    return line->kind == NVL_LINE_KEY && nvl_has_prefix(line->key, "lxc.");
}

const char *nvl_config_get(const struct nvl_config *config, const char *key)
{
    const char *value = NULL;

    for (size_t i = 0; i < config->n_lines && config->lines[i].section == 0; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (line->kind == NVL_LINE_KEY && strcmp(line->key, key) == 0)
            value = line->value;
    }
    return value;
}

static bool is_own_key(const struct nvl_line *line)
{
    return line->kind == NVL_LINE_KEY && !nvl_line_is_raw(line);
}

/* Where the key belongs if the others are in order; *sorted says whether they are. */
static size_t find_sorted_place(const struct nvl_config *config, const bool *goes, const char *key,
                                bool *sorted)
{
    const char *before = NULL;
    size_t place = 0;

    *sorted = true;
    for (size_t i = 0; i < config->n_lines && config->lines[i].section == 0; i++) {
        const struct nvl_line *line = &config->lines[i];
        if (goes[i] || !is_own_key(line))
            continue;
        *sorted = *sorted && (before == NULL || strcmp(before, line->key) <= 0);
        if (strcmp(line->key, key) < 0)
            place = i + 1;
        else if (before == NULL)
            place = i;
        before = line->key;
    }
    return place;
}

size_t nvl_config_key_place(const struct nvl_config *config, const bool *goes, const char *key)
{
    size_t behind_dev = 0, behind_any = 0;
    bool sorted;
    size_t place = find_sorted_place(config, goes, key, &sorted);

    for (size_t i = 0; !sorted && i < config->n_lines && config->lines[i].section == 0; i++) {
        if (goes[i] || !is_own_key(&config->lines[i]))
            continue;
        behind_any = i + 1;
        if (nvl_dev_index(config->lines[i].key) >= 0)
            behind_dev = i + 1;
    }
    return sorted ? place : behind_dev > 0 ? behind_dev : behind_any;
}

bool nvl_is_pending_section(const struct nvl_line *line)
{
    return line->kind == NVL_LINE_SECTION && strcasecmp(line->key, PENDING) == 0;
}
