/* A container's config as lines, in its two dialects: Proxmox ("key: value", sections) and LXC ("key =
 * value"). Every byte is kept: a config that is parsed and written unchanged is the same file. Grammar:
 * PVE/LXC/Config.pm of pve-container and lxc.container.conf(5). Hostile if the container belongs to a user.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "host/majors.h"

struct nvl_error;
struct nvl_instance;
struct nvl_strv;
struct nvl_root;

#define NVL_CONFIG_MAX (1u << 20) /* pmxcfs's own limit for a file */

enum nvl_dialect { NVL_DIALECT_PVE, NVL_DIALECT_LXC };

enum nvl_line_kind {
    NVL_LINE_BLANK,
    NVL_LINE_COMMENT, /* Proxmox: the CT's notes */
    NVL_LINE_SECTION, /* Proxmox: [pve:pending], [snapshot] */
    NVL_LINE_KEY,
    NVL_LINE_UNKNOWN, /* LXC ignores it; Proxmox loses it at its next write */
};

struct nvl_line {
    size_t start, len; /* in text, with its line end (which an unfinished last line lacks) */
    enum nvl_line_kind kind;
    size_t section;    /* 0: the top section, which is in force */
    char *key, *value; /* KEY: unescaped copies, without surrounding blanks; SECTION: key is its name */
};

struct nvl_config {
    enum nvl_dialect dialect;
    char *text;
    size_t len;
    struct nvl_line *lines;
    size_t n_lines;
    /* what its host says about its lines; unknown after parsing */
    struct nvl_majors majors;    /* now: they tell whose device a rule's number is */
    struct nvl_strv *node_hooks; /* values of hooks whose scripts make NVIDIA's nodes; NULL for none */
    const struct nvl_instance *instance; /* whose raw.lxc it is: the daemon adds to it; else NULL. Borrowed */
};

/* Takes over `text`. -EINVAL if it contains NUL bytes, -EFBIG above NVL_CONFIG_MAX. */
int nvl_config_parse(struct nvl_config *config, enum nvl_dialect dialect, char *text, size_t len,
                     struct nvl_error *err);
void nvl_config_clear(struct nvl_config *config);
void nvl_config_add_node_hook(struct nvl_config *config, const char *value);
/* Parses another text for the same container, and copies what its host says from the config that it was made
 * of. Takes over `text`, as nvl_config_parse does. */
int nvl_config_parse_next(struct nvl_config *next, const struct nvl_config *from, char *text, size_t len,
                          struct nvl_error *err);
/* Whether it is an lxc.* key: Proxmox keeps these in their order, and sorts its own. */
bool nvl_line_is_raw(const struct nvl_line *line);
/* The value of a key of the top section that counts (the last one), NULL for none. */
const char *nvl_config_get(const struct nvl_config *config, const char *key);
/* The line before which Proxmox's next write would put this key of its own: it sorts them by byte (dev0,
 * dev1, dev10, dev2), above the lxc.* lines. If somebody ordered them in another way: behind the last dev[n],
 * else behind the last key. Lines that go (`goes`, one for each) do not count. */
size_t nvl_config_key_place(const struct nvl_config *config, const bool *goes, const char *key);
/* Whether it is the SECTION line of Proxmox's pending changes, which the next start applies. */
bool nvl_is_pending_section(const struct nvl_line *line);
