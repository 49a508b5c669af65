/* What modprobe's configuration says about a module. Sources: modprobe.d(5), /proc/cmdline. */
#pragma once

#include "base/text.h"

struct nvl_root;

struct nvl_modprobe_line {
    char *file;    /* "/etc/modprobe.d/nvidia.conf" */
    size_t number; /* of the line in it, from 1 */
    char *text;    /* the line, its words separated by one blank */
};
struct nvl_modprobe_lines {
    struct nvl_modprobe_line *items;
    size_t count;
};

/* nvlxc's own file there, of doctor's fixes and of host setup. */
#define NVL_MODPROBE_FILE "/etc/modprobe.d/nvlxc.conf"

/* The folders that modprobe reads, in their order; ends with NULL. /lib is the same as /usr/lib if it is a
 * link. */
extern const char *const nvl_modprobe_folders[];

void nvl_modprobe_lines_clear(struct nvl_modprobe_lines *lines);

/* All of it, read once. */
struct nvl_modprobe {
    struct nvl_modprobe_lines lines; /* of the folders, in their order */
    struct nvl_strv cmdline;         /* the kernel's parameters */
};
/* What cannot be read is left out. */
void nvl_modprobe_read(const struct nvl_root *root, struct nvl_modprobe *modprobe);
void nvl_modprobe_clear(struct nvl_modprobe *modprobe);

/* Appends each line "VERB MODULE …" (blacklist, options, install); `-` and `_` are the same in a module's
 * name. */
void nvl_modprobe_find(const struct nvl_modprobe *modprobe, const char *verb, const char *module,
                       struct nvl_modprobe_lines *lines);
/* Whether the kernel's command line has this word; for "name=value" also among others: "name=a,value,b". */
bool nvl_cmdline_has(const struct nvl_modprobe *modprobe, const char *word);
