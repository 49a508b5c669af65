/* Strings: lists of strings, growing text, numbers from text. */
#include "base/text.h"

#include <errno.h>
#include <stdio.h>

void nvl_strv_push(struct nvl_strv *v, const char *s)
{
    *NVL_APPEND(v->items, v->count) = nvl_xstrdup(s);
}

void nvl_strv_push_once(struct nvl_strv *v, const char *s)
{
    if (!nvl_strv_contains(v, s))
        nvl_strv_push(v, s);
}

void nvl_strv_pushf(struct nvl_strv *v, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    *NVL_APPEND(v->items, v->count) = nvl_xvasprintf(fmt, ap);
    va_end(ap);
}

bool nvl_strv_contains(const struct nvl_strv *v, const char *s)
{
    for (size_t i = 0; i < v->count; i++)
        if (strcmp(v->items[i], s) == 0)
            return true;
    return false;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void nvl_strv_sort(struct nvl_strv *v)
{
    if (v->count > 1)
        qsort(v->items, v->count, sizeof *v->items, compare_strings);
}

bool nvl_strv_sorted_contains(const struct nvl_strv *v, const char *s)
{
    return v->count > 0 && bsearch(&s, v->items, v->count, sizeof *v->items, compare_strings) != NULL;
}

char *nvl_strv_join(const struct nvl_strv *v, const char *separator)
{
    struct nvl_buf b = {0};

    for (size_t i = 0; i < v->count; i++)
        nvl_buf_addf(&b, "%s%s", i > 0 ? separator : "", v->items[i]);
    return nvl_buf_take(&b);
}

static bool is_space_or_tab(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void trim(const char **s, size_t *len)
{
    while (*len > 0 && is_space_or_tab((*s)[0])) {
        (*s)++;
        (*len)--;
    }
    while (*len > 0 && is_space_or_tab((*s)[*len - 1]))
        (*len)--;
}

void nvl_strv_split(struct nvl_strv *v, const char *s, const char *separators)
{
    while (*s != '\0') {
        size_t len = strcspn(s, separators);
        const char *piece = s;
        size_t piece_len = len;

        trim(&piece, &piece_len);
        if (piece_len > 0)
            *NVL_APPEND(v->items, v->count) = nvl_xstrndup(piece, piece_len);
        s += len;
        if (*s != '\0')
            s++;
    }
}

void nvl_strv_clear(struct nvl_strv *v)
{
    for (size_t i = 0; i < v->count; i++)
        free(v->items[i]);
    free(v->items);
    *v = (struct nvl_strv){0};
}

static void reserve(struct nvl_buf *b, size_t more)
{
    size_t need = b->len + more + 1;

    if (need <= b->cap)
        return;
    size_t cap = b->cap > 0 ? b->cap : 64;
    while (cap < need)
        cap *= 2;
    b->data = nvl_xrealloc(b->data, cap, 1);
    b->cap = cap;
}

void nvl_buf_add(struct nvl_buf *b, const void *data, size_t len)
{
    reserve(b, len);
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void nvl_buf_addf(struct nvl_buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    nvl_autofree char *s = nvl_xvasprintf(fmt, ap);
    va_end(ap);
    nvl_buf_add(b, s, strlen(s));
}

char *nvl_buf_take(struct nvl_buf *b)
{
    nvl_buf_add(b, "", 0);
    b->len = b->cap = 0;
    return TAKE_PTR(b->data);
}

void nvl_buf_clear(struct nvl_buf *b)
{
    free(b->data);
    *b = (struct nvl_buf){0};
}

bool nvl_has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool nvl_has_suffix(const char *s, const char *suffix)
{
    size_t len = strlen(s), suffix_len = strlen(suffix);

    return len >= suffix_len && strcmp(s + len - suffix_len, suffix) == 0;
}

bool nvl_bytes_are(const char *data, size_t len, const char *text)
{
    return len == strlen(text) && memcmp(data, text, len) == 0;
}

int nvl_parse_uint(const char *s, int base, uint64_t max, uint64_t *out)
{
    char *end = NULL;

    /* strtoull accepts signs, blanks and a prefix: only a digit may begin. */
    bool digit =
        (*s >= '0' && *s <= '9') || (base == 16 && ((*s >= 'a' && *s <= 'f') || (*s >= 'A' && *s <= 'F')));
    if (!digit || (base == 16 && (s[1] == 'x' || s[1] == 'X')))
        return -EINVAL;
    errno = 0;
    unsigned long long value = strtoull(s, &end, base);
    if (errno != 0 || value > max)
        return -ERANGE;
    if (*end != '\0')
        return -EINVAL;
    *out = value;
    return 0;
}

bool nvl_next_line(const char *text, size_t len, size_t *pos, const char **line, size_t *line_len)
{
    if (*pos >= len)
        return false;
    const char *start = text + *pos;
    const char *newline = memchr(start, '\n', len - *pos);
    size_t n = newline != NULL ? (size_t)(newline - start) : len - *pos;

    *line = start;
    *line_len = n;
    *pos += n + (newline != NULL ? 1 : 0);
    return true;
}

bool nvl_line_value(const char *line, size_t line_len, const char *key, const char **value, size_t *value_len)
{
    size_t key_len = strlen(key);

    if (line_len <= key_len || memcmp(line, key, key_len) != 0 || line[key_len] != ':')
        return false;
    *value = line + key_len + 1;
    *value_len = line_len - key_len - 1;
    trim(value, value_len);
    return true;
}

bool nvl_next_wrapped(const char **text, size_t width, const char **line, size_t *len)
{
    const char *start = *text;
    size_t take = strcspn(start, "\n");

    if (*start == '\0')
        return false;
    if (take > width) {
        for (take = width; take > 0 && start[take] != ' '; take--)
            continue;
        if (take == 0) /* one long word */
            take = strcspn(start, " \n");
    }
    *line = start;
    *len = take;
    *text = start + take;
    *text += **text == ' ' || **text == '\n';
    return true;
}

void nvl_buf_add_quoted(struct nvl_buf *b, const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if (*p == '\'')
            nvl_buf_addf(b, "'\\''");
        else
            nvl_buf_add(b, p, 1);
}

char *nvl_shell_word(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:=@,%";
    struct nvl_buf b = {0};

    if (text[0] != '\0' && text[strspn(text, plain)] == '\0')
        return nvl_xstrdup(text);
    nvl_buf_add(&b, "'", 1);
    nvl_buf_add_quoted(&b, text);
    nvl_buf_add(&b, "'", 1);
    return nvl_buf_take(&b);
}

void nvl_decode_octal(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        bool is_octal = from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
                        from[2] <= '7' && from[3] >= '0' && from[3] <= '7';
        *to++ = is_octal ? (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + from[3] - '0') : *from;
        from += is_octal ? 3 : 0;
    }
    *to = '\0';
}

bool nvl_is_plain(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+-";

    return name[strspn(name, plain)] == '\0';
}

bool nvl_copy(char *to, size_t size, const char *from, size_t len)
{
    size_t n = len < size ? len : size - 1;

    memcpy(to, from, n);
    to[n] = '\0';
    return n == len;
}

void nvl_format_size(uint64_t bytes, char *to, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < NVL_LENGTH(units)) {
        value /= 1024;
        unit++;
    }
    snprintf(to, size, unit == 0 || value >= 10 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}
