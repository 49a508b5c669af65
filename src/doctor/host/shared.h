/* Texts and small questions that the host's checks share. */
#pragma once

#include "doctor/check.h"
#include "driver/advice.h"

/* Adds a finding about the host. */
struct nvl_finding *nvl_host_finding(struct nvl_findings *findings, const struct nvl_check *check,
                                     enum nvl_severity severity, const char *title);
/* The finding is about this GPU; if no GPU works, it also explains that there are no nodes and that no module
 * is loaded. */
void nvl_finding_about_gpu(struct nvl_finding *f, const struct nvl_host_facts *facts,
                           const struct nvl_gpu *gpu);
/* The finding says why NVIDIA's module is not loaded: no GPU of this host can be used, and there are no
 * nodes. */
void nvl_finding_about_module(struct nvl_finding *f, const struct nvl_host_facts *facts);
/* Whether containers have a GPU here, even if others do not work. */
bool nvl_any_gpu_works(const struct nvl_host_facts *facts);

/* "FILE: LINE" for the first line of a file; nothing if it cannot be read. */
void nvl_add_first_line(struct nvl_strv *lines, const struct nvl_root *root, const char *path);
/* The names of the containers that have a grant, "220, web"; NULL for none. The caller frees. */
char *nvl_granted_names(const struct nvl_host_facts *facts);
/* The loaded version, else the one that would be loaded; "" if unknown. The same for the flavor. */
const char *nvl_driver_in_question(const struct nvl_host_facts *facts, enum nvl_flavour *flavour);
/* Whether any part of the driver is installed: module, its source, libraries. */
bool nvl_driver_is_installed(const struct nvl_host_facts *facts);
/* "550.163.01 (open)"; the caller frees. */
char *nvl_driver_text(const char *version, enum nvl_flavour flavour);
/* The bundle of the loaded version; NULL. */
const struct nvl_bundle *nvl_loaded_bundle(const struct nvl_host_facts *facts);
