/* Strings: lists of strings, growing text, numbers from text. No locale, no surprising allocation. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

/* A list of strings, which it owns. Zero-initialize; nvl_strv_clear frees. */
struct nvl_strv {
    char **items;
    size_t count;
};
void nvl_strv_push(struct nvl_strv *v, const char *s);
/* Unless the list has it. */
void nvl_strv_push_once(struct nvl_strv *v, const char *s);
void nvl_strv_pushf(struct nvl_strv *v, const char *fmt, ...) NVL_PRINTF(2, 3);
bool nvl_strv_contains(const struct nvl_strv *v, const char *s);
void nvl_strv_sort(struct nvl_strv *v);
/* Like nvl_strv_contains for a sorted list, by bisection. */
bool nvl_strv_sorted_contains(const struct nvl_strv *v, const char *s);
/* The items with `separator` between them; the caller frees. */
char *nvl_strv_join(const struct nvl_strv *v, const char *separator);
/* Splits at any of `separators`, dropping empty pieces and blanks around a piece. */
void nvl_strv_split(struct nvl_strv *v, const char *s, const char *separators);
void nvl_strv_clear(struct nvl_strv *v);

/* A growing text; `data` is always NUL-terminated once something was added. */
struct nvl_buf {
    char *data;
    size_t len, cap;
};
void nvl_buf_add(struct nvl_buf *b, const void *data, size_t len);
void nvl_buf_addf(struct nvl_buf *b, const char *fmt, ...) NVL_PRINTF(2, 3);
/* Gives the text away ("" if nothing was added). */
char *nvl_buf_take(struct nvl_buf *b);
void nvl_buf_clear(struct nvl_buf *b);

bool nvl_has_prefix(const char *s, const char *prefix);
bool nvl_has_suffix(const char *s, const char *suffix);
/* Whether these bytes, a file's, are just this text: a NUL among them is no end. */
bool nvl_bytes_are(const char *data, size_t len, const char *text);

/* Parses all of `s` as an unsigned number of that base, at most `max`; no sign, no blanks. -EINVAL or
 * -ERANGE. */
int nvl_parse_uint(const char *s, int base, uint64_t max, uint64_t *out);

/* Iterates over the lines of a text in memory, without copying: gives each line's start and length (without
 * the newline) and moves *pos past it. False at the end. Works on text that is not NUL-terminated. */
bool nvl_next_line(const char *text, size_t len, size_t *pos, const char **line, size_t *line_len);

/* "key:   value" lines, as in /proc/driver/nvidia: true if the line's key is `key`; then *value and
 * *value_len are the value without surrounding blanks. */
bool nvl_line_value(const char *line, size_t line_len, const char *key, const char **value,
                    size_t *value_len);

/* The lines of a text for people, wrapped at blanks so that each has at most `width` bytes, unless it is one
 * long word, and at its own newlines: moves *text past the line that it returns. False at the end. */
bool nvl_next_wrapped(const char **text, size_t width, const char **line, size_t *len);

/* `text` as one word of a shell's command line; quoted only if needed. The caller frees. */
char *nvl_shell_word(const char *text);
/* Whether a name consists of bytes that paths of devices, libraries and packages have. Others that a
 * container chose are not repeated in a command. */
bool nvl_is_plain(const char *name);
/* Appends `text` escaped for a shell's single quotes. */
void nvl_buf_add_quoted(struct nvl_buf *b, const char *text);

/* Decodes "\040" for a blank and the like, in place. Sources: fstab(5), proc(5) on mountinfo. */
void nvl_decode_octal(char *text);

/* Copies at most size - 1 bytes and terminates. Returns false if it had to cut. */
bool nvl_copy(char *to, size_t size, const char *from, size_t len);

/* Bytes for people: "215 MiB"; to is at least 16 bytes. */
void nvl_format_size(uint64_t bytes, char *to, size_t size);
