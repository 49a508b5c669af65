/* What the host's checks share: the checks themselves, which lie in several files by subject and stand in the
 * tables of gpu.c, driver.c, nodes.c and boot.c, and the words of their findings.
 */
#pragma once

#include "doctor/findings.h"
#include "doctor/facts.h"
#include "driver/advice.h"

typedef void nvl_host_check(const struct nvl_check *check, const struct nvl_host_facts *facts,
                            struct nvl_findings *findings);

/* Adds one of the host. */
struct nvl_finding *nvl_host_finding(struct nvl_findings *findings, const struct nvl_check *check,
                                     enum nvl_severity severity, const char *title);
/* Sets evidence and fix from lists, a line each. */
void nvl_finding_evidence_lines(struct nvl_finding *f, const struct nvl_strv *lines);
void nvl_finding_fix_lines(struct nvl_finding *f, const struct nvl_strv *lines);

/* "FILE: LINE" for the first line of a file; nothing where it cannot be read. */
void nvl_add_first_line(struct nvl_strv *lines, const struct nvl_root *root, const char *path);
/* The names of the containers that have a grant, "220, web"; NULL for none. The caller frees. */
char *nvl_granted_names(const struct nvl_host_facts *facts);
/* The loaded version, else what would be loaded; "" where unknown. The same for the flavour. */
const char *nvl_driver_in_question(const struct nvl_host_facts *facts, enum nvl_flavour *flavour);
/* Whether any part of the driver is: module, its source, libraries. */
bool nvl_driver_is_installed(const struct nvl_host_facts *facts);
/* "550.163.01 (open)"; the caller frees. */
char *nvl_driver_text(const char *version, enum nvl_flavour flavour);
/* The bundle of the loaded version; NULL. */
const struct nvl_bundle *nvl_loaded_bundle(const struct nvl_host_facts *facts);

/* module.c: the module that is on disk, and the firmware that it loads. */
nvl_host_check nvl_check_secure_boot, nvl_check_not_loaded, nvl_check_driver_version, nvl_check_firmware;
/* libraries.c: the driver's files for programs, and the bundle made of them. */
nvl_host_check nvl_check_libraries_absent, nvl_check_libraries_mismatch, nvl_check_upgrade_pending,
    nvl_check_libraries_incomplete, nvl_check_bundle_absent, nvl_check_bundle_damaged;
/* guests.c: what containers need of the host to start. */
nvl_host_check nvl_check_boot_nodes, nvl_check_hook, nvl_check_quorum, nvl_check_cgroups;
/* services.c: what keeps GPUs ready, and MIG. */
nvl_host_check nvl_check_persistence, nvl_check_fabric, nvl_check_mig_empty;
