/* What the container's checks share: the checks themselves, which lie in several files by subject and stand
 * in the tables of grant.c, start.c and files.c, and the words of their findings. */
#pragma once

#include "doctor/findings.h"
#include "doctor/facts.h"
#include "container/commands.h"
#include "container/device_rules.h"
#include "container/entry.h"

/* Ids of the host's checks that say why a container lacks its GPU, or its nodes. */
#define NVL_NO_GPU_ON_HOST                                                                                   \
    "gpu-absent gpu-nouveau gpu-nova gpu-vfio gpu-other-driver gpu-too-new gpu-too-old gpu-flavour "         \
    "gpu-refused driver-absent headers-missing driver-kernel driver-build-failed driver-not-built "          \
    "driver-secure-boot driver-not-loaded"
#define NVL_NO_NODES_ON_HOST NVL_NO_GPU_ON_HOST " uvm-not-loaded node-missing"

typedef void nvl_container_check(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                 struct nvl_findings *findings);

/* Whether the container is to have a GPU: a grant that gives something, or NVIDIA lines written by hand. */
bool nvl_wants_gpu(const struct nvl_container_facts *facts);
/* Whether it has NVIDIA lines that are not nvlxc's. */
bool nvl_has_lines_by_hand(const struct nvl_container_facts *facts);

/* Whether its grant has nvlxc's bundle of the driver mounted in it. */
bool nvl_wants_bundle(const struct nvl_container_facts *facts);

/* A line of the config as it stands there, with its place: "/etc/pve/lxc/223.conf:9: lxc.…". */
void nvl_add_line_evidence(struct nvl_strv *evidence, const struct nvl_container_facts *facts, size_t line);
/* The same of a setting, in whatever file it stands. */
void nvl_add_setting_evidence(struct nvl_strv *evidence, const struct nvl_container_facts *facts,
                              size_t setting);
/* The rules of its device filter; -errno where an include cannot be read: then they are not known. */
int nvl_facts_rules(const struct nvl_container_facts *facts, struct nvl_device_rules *rules);
/* The line without its end; the caller frees. */
char *nvl_line_text(const struct nvl_config *config, size_t line);
/* Adds one whose evidence is the list's lines; where the list is empty nothing is added, and NULL given. */
struct nvl_finding *nvl_finding_of_lines(struct nvl_findings *findings, const struct nvl_check *check,
                                         enum nvl_severity severity, const struct nvl_container_facts *facts,
                                         const struct nvl_strv *evidence, const char *title);

/* The command that writes the same grant anew, in the place of the lines that are not nvlxc's (--replace),
 * where there are any; the caller frees. */
char *nvl_attach_again(const struct nvl_container_facts *facts);
/* And with the driver from nvlxc's bundle. */
char *nvl_attach_with_bundle(const struct nvl_container_facts *facts);
/* The same, with the nodes brought by the start hook. */
char *nvl_attach_with_hook_nodes(const struct nvl_container_facts *facts);

/* The nodes that the container should have: its grant's, or those that its config brings in by hand. The
 * caller frees; NULL for none. */
struct nvl_node *nvl_expected_nodes(const struct nvl_container_facts *facts, size_t *count);

/* rules.c: device rules of the config. */
nvl_container_check nvl_check_rules_without_effect, nvl_check_rules_deny_rest, nvl_check_grant_rules,
    nvl_check_rule_other_gpu;
/* majors.c: those that are numbers. */
nvl_container_check nvl_check_major_stale, nvl_check_major_pinned, nvl_check_classic_rule_missing,
    nvl_check_cgroup_v1;
/* mounts.c: mount entries and dev[n]. */
nvl_container_check nvl_check_mount_source, nvl_check_library_mount, nvl_check_dev_missing,
    nvl_check_dev_mode;
/* lines.c: lines that are not where, or not what, they look like. */
nvl_container_check nvl_check_section, nvl_check_dropped, nvl_check_other_dialect, nvl_check_markers;
/* running.c: a container that runs. */
nvl_container_check nvl_check_outdated, nvl_check_filtered, nvl_check_denied;
/* linker.c: which libcuda its programs get. */
nvl_container_check nvl_check_musl, nvl_check_no_include, nvl_check_cache, nvl_check_stubs, nvl_check_compat,
    nvl_check_own_driver;
/* users.c: who may open the nodes. */
nvl_container_check nvl_check_service_user, nvl_check_render_group;
