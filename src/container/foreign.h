/* What in a config is about NVIDIA: the forms that recipes, LXC's own hook and other tools write. Whose line
 * it is, ownership.c decides. */
#pragma once

#include "base/text.h"
#include "container/config.h"

enum nvl_about {
    NVL_ABOUT_OTHER,
    NVL_ABOUT_MAYBE,     /* says nothing by itself, but is about NVIDIA beside lines that are: the rule of a
                            dynamic major that no other driver has now, the mount of a whole library folder */
    NVL_ABOUT_COMPANION, /* a rule for what nvlxc does not bring, by number: of that, if a line brings one of
                            its nodes; else of an earlier boot, and as MAYBE */
    NVL_ABOUT_NVIDIA,    /* an NVIDIA device, file, variable, or hook */
};

/* For a setting of that config. Sockets, nodes and rules of what nvlxc does not bring by itself (MPS,
 * nvidia-persistenced, the fabric manager, GPUDirect Storage, IMEX channels, NVSwitch, gdrdrv) are OTHER:
 * nothing takes them away, and nothing stands in their way. */
enum nvl_about nvl_setting_about(const struct nvl_config *config, const char *key, const char *value);
/* What else is in a config decides about a line that alone says little. */
struct nvl_company {
    bool is_granted;    /* a hook line of nvlxc's */
    bool any_clear;     /* a line that is about NVIDIA by itself, and not nvlxc's; variables do not count */
    bool any_companion; /* a line that brings a node of what nvlxc does not bring by itself */
};
/* Notes a line that is not nvlxc's. */
void nvl_company_add(struct nvl_company *company, enum nvl_about about, const char *key, const char *value);
/* Whether a line that is not nvlxc's was written by hand, in this company. */
bool nvl_is_by_hand(const struct nvl_company *company, enum nvl_about about, const char *key);
/* Finds out which of its hooks run a script that makes NVIDIA's nodes. */
void nvl_config_read_hooks(const struct nvl_root *root, struct nvl_config *config);
/* For a KEY line of any section. */
enum nvl_about nvl_line_about(const struct nvl_config *config, const struct nvl_line *line);
/* Appends the device nodes, NVIDIA's and others', that a setting names by path: a mount entry's source,
 * Proxmox's dev[n], a path-form rule. */
void nvl_setting_nodes(const char *key, const char *value, struct nvl_strv *paths);
void nvl_line_nodes(const struct nvl_line *line, struct nvl_strv *paths);

/* A folder that every distribution's loader searches, or /etc/alternatives. */
bool nvl_is_library_folder(const char *path);
