/* Text output of the commands: lines that fit the terminal, and what colour and symbols add on one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/alloc.h"

struct nvl_context;
struct nvl_driver_version;
struct nvl_error;
struct nvl_grant;
struct nvl_strv;

/* What a part of a line is to its reader. */
enum nvl_style {
    NVL_PLAIN,
    NVL_TITLE,   /* bold */
    NVL_COMMAND, /* to paste: bold, and never broken */
    NVL_FAINT,   /* what is secondary: dim */
    NVL_GOOD,    /* green */
    NVL_CAREFUL, /* yellow */
    NVL_WRONG,   /* red */
};

struct nvl_span {
    enum nvl_style style;
    const char *text;
};

/* Takes the value of --color, NULL for auto: colours on a terminal, unless NO_COLOR or TERM says otherwise.
 * `is_plain`: none, whatever is chosen. */
int nvl_color_choose(const char *when, bool is_plain, struct nvl_error *err);
/* Whether standard output is a terminal. */
bool nvl_is_on_terminal(void);
/* The width to fill: the terminal's, from 80 to 120; 80 if standard output is none. */
size_t nvl_columns(void);
/* The sequence that begins a style on this stream; "" without colours. NVL_PLAIN ends one. */
const char *nvl_style_sequence(enum nvl_style style, FILE *to);
/* "✓ ", "✗ ", "! " or "– " for good, wrong, careful and faint, before the word that says the same; "" for
 * other styles, and where standard output is no terminal that shows UTF-8. */
const char *nvl_mark(enum nvl_style style);

/* Prints a line on stdout, made printable; nothing with --quiet or --json. Adds the newline. */
void nvl_say(const struct nvl_context *ctx, const char *fmt, ...) NVL_PRINTF(2, 3);
/* The same in a style, for what must stay one line: a command, a line of a file. */
void nvl_say_styled(const struct nvl_context *ctx, enum nvl_style style, const char *fmt, ...)
    NVL_PRINTF(3, 4);
/* The same, wrapped at blanks to the terminal's width: `first` precedes the first line, as many blanks the
 * others. A command is not broken: what `…` encloses, and what follows ": " up to a semicolon. */
void nvl_say_wrapped(const struct nvl_context *ctx, const char *first, const char *text);
/* The same for a fact, which stays one line for grep where standard output is no terminal. */
void nvl_say_fact(const struct nvl_context *ctx, const char *first, const char *fmt, ...) NVL_PRINTF(3, 4);
/* The same of parts; the last one has no text. `first` has a style, too. */
void nvl_say_spans(const struct nvl_context *ctx, struct nvl_span first, const struct nvl_span *spans,
                   bool is_fact);
/* Prints the lines of a unified diff, made printable. */
void nvl_say_diff(const struct nvl_context *ctx, const char *indent, const char *diff);
/* Prints "nvlxc: warning: …" on stderr, made printable, also with --quiet. Adds the newline. */
void nvl_warn(const char *fmt, ...) NVL_PRINTF(1, 2);
/* The same of each. */
void nvl_warn_all(const struct nvl_strv *texts);
/* Prints "nvlxc: …" on stderr, and below it what to do: "hint: …" for words, "try: …" for a command to paste.
 */
void nvl_print_error(const struct nvl_error *err);
/* "; nodes dev; libraries none; exclusive": everything that is not default, except `required`; the caller
 * frees. */
char *nvl_grant_ways_text(const struct nvl_grant *grant);
/* "550.163.01 (open), loaded", "not loaded"; the caller frees. */
char *nvl_loaded_driver_text(const struct nvl_driver_version *driver);
