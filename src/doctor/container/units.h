/* Units of systemd in a container's root file system, as systemd itself reads them (systemd.unit(5),
 * systemd.syntax(7)): which file is the unit, which drop-ins change it, what each line says. All of it is
 * hostile text. */
#pragma once

#include "base/root.h"

/* A line of the section Service whose key matters to nvlxc. */
struct nvl_unit_line {
    const char *key; /* static */
    char *value;     /* without blanks around it; "" resets what earlier lines said */
    char *place;     /* "/etc/systemd/system/ollama.service:7" */
};
/* In the order in which systemd takes them. */
struct nvl_unit {
    struct nvl_unit_line *items;
    size_t count;
};

/* Reads NAME.service and its drop-ins. False if there is no such unit, or if it is masked. */
bool nvl_unit_read(const struct nvl_root *rootfs, const char *name, struct nvl_unit *unit);
void nvl_unit_clear(struct nvl_unit *unit);

/* The line in force of a key that has one value; NULL for none. */
const struct nvl_unit_line *nvl_unit_last(const struct nvl_unit *unit, const char *key);
/* The same for yes and no; NULL for no. systemd skips a value that is neither. */
const struct nvl_unit_line *nvl_unit_says_yes(const struct nvl_unit *unit, const char *key);
/* The next line in force of a key that is a list, from *pos (at first 0) on; NULL at the end. */
const struct nvl_unit_line *nvl_unit_next(const struct nvl_unit *unit, const char *key, size_t *pos);
/* The words of a value, without quotes around them. */
void nvl_unit_words(const struct nvl_unit_line *line, struct nvl_strv *words);
