/* Texts and small questions that the container's checks share. */
#pragma once

#include "container/commands.h"
#include "container/device_rules.h"
#include "container/entry.h"
#include "doctor/check.h"

/* Ids of the host's checks that explain why a container lacks its GPU, or its nodes. */
#define NVL_NO_GPU_ON_HOST                                                                                   \
    "gpu-absent gpu-nouveau gpu-nova gpu-vfio gpu-lent gpu-other-driver gpu-too-new gpu-too-old "            \
    "gpu-flavour "                                                                                           \
    "gpu-refused driver-absent headers-missing driver-kernel driver-build-failed driver-not-built "          \
    "driver-secure-boot driver-not-loaded"
#define NVL_NO_NODES_ON_HOST NVL_NO_GPU_ON_HOST " uvm-not-loaded node-missing"

/* Whether the container should have a GPU: a grant that gives something, or NVIDIA lines written by hand. */
bool nvl_wants_gpu(const struct nvl_container_facts *facts);
/* Whether it has NVIDIA lines that are not nvlxc's. */
bool nvl_has_lines_by_hand(const struct nvl_container_facts *facts);

/* Whether its grant mounts nvlxc's bundle of the driver. */
bool nvl_wants_bundle(const struct nvl_container_facts *facts);

/* A line of the config as written, with its place: "/etc/pve/lxc/223.conf:9: lxc.…". */
void nvl_add_line_evidence(struct nvl_strv *evidence, const struct nvl_container_facts *facts, size_t line);
/* The same of a setting, in whichever file it is. */
void nvl_add_setting_evidence(struct nvl_strv *evidence, const struct nvl_container_facts *facts,
                              size_t setting);
/* The rules of its device filter; -errno if an include cannot be read: then they are unknown. */
int nvl_facts_rules(const struct nvl_container_facts *facts, struct nvl_device_rules *rules);
/* The line without its end; the caller frees. */
char *nvl_line_text(const struct nvl_config *config, size_t line);
/* Adds a finding whose evidence is the list's lines; if the list is empty, adds nothing and returns NULL. */
struct nvl_finding *nvl_finding_of_lines(struct nvl_findings *findings, const struct nvl_check *check,
                                         enum nvl_severity severity, const struct nvl_container_facts *facts,
                                         const struct nvl_strv *evidence, const char *title);

/* The command that rewrites the same grant, and replaces lines that are not nvlxc's (--replace), if there are
 * any; the caller frees. */
char *nvl_attach_again(const struct nvl_container_facts *facts);
/* The same, with these capabilities. */
char *nvl_attach_with_capabilities(const struct nvl_container_facts *facts, unsigned capabilities);
/* The same, with the driver from nvlxc's bundle. */
char *nvl_attach_with_bundle(const struct nvl_container_facts *facts);
/* The same, with the start hook adding the nodes. */
char *nvl_attach_with_hook_nodes(const struct nvl_container_facts *facts);

/* Whether the host has that device, which Proxmox looks for before a start, and before each change. */
bool nvl_is_device(const struct nvl_root *root, const char *path);
/* Whether nothing has this path. What cannot be looked at is not absent. */
bool nvl_is_absent(const struct nvl_root *root, const char *path);
/* Adds the command that opens a dev[n] entry's node to all users. */
void nvl_push_open_device(struct nvl_strv *commands, const struct nvl_container_facts *facts,
                          const struct nvl_setting *s, const char *path);

/* The nodes that the container should have: its grant's, or those that its config adds by hand. The caller
 * frees; NULL for none. */
struct nvl_node *nvl_expected_nodes(const struct nvl_container_facts *facts, size_t *count);
