/* The probe's lines, "nvlxc<TAB>WHAT<TAB>CODE<TAB>TEXT". The probe runs in the container, with the
 * container's libraries: its output is hostile. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define NVL_PROBE_LINES_MAX 512

struct nvl_probe_line {
    char what[32];
    int code;
    char text[404];
};

struct nvl_probe_lines {
    struct nvl_probe_line *items;
    size_t count;
    bool ended; /* the line "end" came: it ran to its end */
};

/* Takes the first NVL_PROBE_LINES_MAX well-formed lines and skips everything else (a library may print, too).
 * Texts are printable ASCII. */
void nvl_probe_parse(const char *text, size_t len, struct nvl_probe_lines *lines);
void nvl_probe_lines_clear(struct nvl_probe_lines *lines);
/* The first line of that kind; NULL for none. */
const struct nvl_probe_line *nvl_probe_find(const struct nvl_probe_lines *lines, const char *what);
/* The last "try": what it was doing when it ended. NULL for none. */
const char *nvl_probe_last_try(const struct nvl_probe_lines *lines);

/* Hostile text for people and JSON: only printable ASCII, at most max bytes; the caller frees. */
char *nvl_printable(const char *text, size_t len, size_t max);
