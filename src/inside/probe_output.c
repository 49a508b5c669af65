/* Reads what the probe printed. */
#include "inside/probe_output.h"

#include <string.h>

#include "base/text.h"

#define MARK "nvlxc"

char *nvl_printable(const char *text, size_t len, size_t max)
{
    size_t n = len < max ? len : max;
    char *copy = nvl_xstrndup("", 0);

    copy = nvl_xrealloc(copy, n + 1, 1);
    for (size_t i = 0; i < n; i++)
        copy[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : text[i] == '\t' || text[i] == '\n' ? ' ' : '?';
    while (n > 0 && copy[n - 1] == ' ')
        n--;
    copy[n] = '\0';
    return copy;
}

/* The field up to the next tab. False if there is none. */
static bool take_probe_field(const char **p, const char *end, const char **field, size_t *len)
{
    const char *tab = memchr(*p, '\t', (size_t)(end - *p));

    if (tab == NULL)
        return false;
    *field = *p;
    *len = (size_t)(tab - *p);
    *p = tab + 1;
    return true;
}

static bool is_probe_word(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '.' || s[i] == '-'))
            return false;
    return len > 0;
}

static bool parse_code(const char *s, size_t len, int *code)
{
    char digits[12];
    uint64_t value;
    bool negative = len > 0 && s[0] == '-';

    if (!nvl_copy(digits, sizeof digits, s + (negative ? 1 : 0), len - (negative ? 1 : 0)) ||
        nvl_parse_uint(digits, 10, INT32_MAX, &value) < 0)
        return false;
    *code = negative ? -(int)value : (int)value;
    return true;
}

static bool parse_probe_line(const char *line, size_t len, struct nvl_probe_line *out)
{
    const char *p = line, *end = line + len, *field;
    size_t field_len;

    if (!take_probe_field(&p, end, &field, &field_len) || field_len != strlen(MARK) ||
        memcmp(field, MARK, field_len) != 0)
        return false;
    if (!take_probe_field(&p, end, &field, &field_len) || !is_probe_word(field, field_len) ||
        !nvl_copy(out->what, sizeof out->what, field, field_len))
        return false;
    if (!take_probe_field(&p, end, &field, &field_len) || !parse_code(field, field_len, &out->code))
        return false;
    nvl_autofree char *text = nvl_printable(p, (size_t)(end - p), sizeof out->text - 1);
    nvl_copy(out->text, sizeof out->text, text, strlen(text));
    return true;
}

void nvl_probe_parse(const char *text, size_t len, struct nvl_probe_lines *lines)
{
    const char *line;
    size_t line_len, pos = 0;

    *lines = (struct nvl_probe_lines){0};
    while (lines->count < NVL_PROBE_LINES_MAX && nvl_next_line(text, len, &pos, &line, &line_len)) {
        struct nvl_probe_line one;
        if (!parse_probe_line(line, line_len, &one))
            continue;
        if (strcmp(one.what, "end") == 0) {
            lines->ended = true;
            return;
        }
        *NVL_APPEND(lines->items, lines->count) = one;
    }
}

void nvl_probe_lines_clear(struct nvl_probe_lines *lines)
{
    free(lines->items);
    *lines = (struct nvl_probe_lines){0};
}

const struct nvl_probe_line *nvl_probe_find(const struct nvl_probe_lines *lines, const char *what)
{
    for (size_t i = 0; i < lines->count; i++)
        if (strcmp(lines->items[i].what, what) == 0)
            return &lines->items[i];
    return NULL;
}

const char *nvl_probe_last_try(const struct nvl_probe_lines *lines)
{
    for (size_t i = lines->count; i > 0; i--)
        if (strcmp(lines->items[i - 1].what, "try") == 0)
            return lines->items[i - 1].text;
    return NULL;
}
