/* The probe's lines, "nvlxc<TAB>WHAT<TAB>CODE<TAB>TEXT". It runs in the container, with the container's
 * libraries: what it prints is hostile. */
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
    bool ended; /* the line "end" came: it went through */
};

/* Takes the lines that are well formed, the first NVL_PROBE_LINES_MAX of them; all else (a library may print
 * too) is passed over. Texts are printable ASCII. */
void nvl_probe_parse(const char *text, size_t len, struct nvl_probe_lines *lines);
void nvl_probe_lines_clear(struct nvl_probe_lines *lines);
/* The first line of that kind; NULL for none. */
const struct nvl_probe_line *nvl_probe_find(const struct nvl_probe_lines *lines, const char *what);
/* The last "try": what it was doing when it ended. NULL for none. */
const char *nvl_probe_last_try(const struct nvl_probe_lines *lines);

/* Hostile text for people and JSON: printable ASCII alone, at most max bytes; the caller frees. */
char *nvl_printable(const char *text, size_t len, size_t max);
