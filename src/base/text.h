/* Strings: a list of strings, a text that grows, numbers out of text. No locale, no allocation surprises. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

/* A list of strings, which it owns. Zero-initialise; nvl_strv_clear frees. */
struct nvl_strv {
    char **items;
    size_t count;
};
void nvl_strv_push(struct nvl_strv *v, const char *s);
void nvl_strv_pushf(struct nvl_strv *v, const char *fmt, ...) NVL_PRINTF(2, 3);
bool nvl_strv_contains(const struct nvl_strv *v, const char *s);
void nvl_strv_sort(struct nvl_strv *v);
/* The same as nvl_strv_contains in a sorted list, without walking all of it. */
bool nvl_strv_sorted_contains(const struct nvl_strv *v, const char *s);
/* The items with `separator` between them; the caller frees. */
char *nvl_strv_join(const struct nvl_strv *v, const char *separator);
/* Splits at any of `separators`, leaving out empty pieces and blanks around a piece. */
void nvl_strv_split(struct nvl_strv *v, const char *s, const char *separators);
void nvl_strv_clear(struct nvl_strv *v);

/* A text that grows; `data` is always NUL-terminated once something was added. */
struct nvl_buf {
    char *data;
    size_t len, cap;
};
void nvl_buf_add(struct nvl_buf *b, const void *data, size_t len);
void nvl_buf_addf(struct nvl_buf *b, const char *fmt, ...) NVL_PRINTF(2, 3);
/* Gives the text away ("" where nothing was added). */
char *nvl_buf_take(struct nvl_buf *b);
void nvl_buf_clear(struct nvl_buf *b);

bool nvl_has_prefix(const char *s, const char *prefix);
bool nvl_has_suffix(const char *s, const char *suffix);

/* The whole of `s` as an unsigned number of that base, at most `max`; no sign, no blanks. -EINVAL or -ERANGE.
 */
int nvl_parse_uint(const char *s, int base, uint64_t max, uint64_t *out);

/* Walks the lines of a text in memory, without copying: gives each line's start and length (without the
 * newline) and moves *pos behind it. False at the end. Works on text that is not NUL-terminated. */
bool nvl_next_line(const char *text, size_t len, size_t *pos, const char **line, size_t *line_len);

/* "key:   value" lines, as /proc/driver/nvidia has them: true if the line's key is `key`; then *value and
 * *value_len are the value without blanks around it. */
bool nvl_line_value(const char *line, size_t line_len, const char *key, const char **value,
                    size_t *value_len);

/* The lines of a text for people, broken at blanks so that each has at most `width` bytes, unless it is one
 * long word, and at its own newlines: moves *text behind the one that it gives. False at the end. */
bool nvl_next_wrapped(const char **text, size_t width, const char **line, size_t *len);

/* `text` as one word of a shell's command line; quoted only where it has to be. The caller frees. */
char *nvl_shell_word(const char *text);
/* Adds `text` as it has to stand between a shell's single quotes. */
void nvl_buf_add_quoted(struct nvl_buf *b, const char *text);

/* Copies at most size - 1 bytes and terminates. Returns false where it had to cut. */
bool nvl_copy(char *to, size_t size, const char *from, size_t len);

/* Bytes for people: "215 MiB"; to is at least 16 bytes. */
void nvl_format_size(uint64_t bytes, char *to, size_t size);
