/* What in a config is about NVIDIA: the forms that recipes, LXC's own hook and other tools write. Whose line
 * it is, ownership.c decides. */
#pragma once

#include "base/text.h"
#include "container/config.h"

enum nvl_about {
    NVL_ABOUT_OTHER,
    NVL_ABOUT_MAYBE,  /* says nothing by itself, but is about NVIDIA beside lines that are: the rule of a
                         dynamic major that no other driver has now, the mount of a whole library folder */
    NVL_ABOUT_NVIDIA, /* an NVIDIA device, file, variable, or hook */
};

/* For a setting: `majors` tells whose device a rule's number is. */
enum nvl_about nvl_setting_about(enum nvl_dialect dialect, const struct nvl_majors *majors, const char *key,
                                 const char *value);
/* For a KEY line of any section. */
enum nvl_about nvl_line_about(const struct nvl_config *config, const struct nvl_line *line);
/* Appends the device nodes, NVIDIA's and others', that a setting names by path: a mount entry's source,
 * Proxmox's dev[n], a path-form rule. */
void nvl_setting_nodes(const char *key, const char *value, struct nvl_strv *paths);
void nvl_line_nodes(const struct nvl_line *line, struct nvl_strv *paths);

/* A folder that every distribution's loader searches, or /etc/alternatives. */
bool nvl_is_library_folder(const char *path);
