/* The state of a host in findings: what is well, what is worth knowing, and what is wrong with its mending.
 * Judged from facts that were read before; reads nothing but the presence of nvidia-modprobe. */
#pragma once

#include "driver/bundle.h"
#include "host/host.h"
#include "host/module.h"

#define NVL_MODPROBE_PROGRAM "/usr/bin/nvidia-modprobe" /* makes device nodes, where it is installed */

struct nvl_host_facts {
    struct nvl_host host;
    struct nvl_modules modules;
    struct nvl_userspace userspace;
    struct nvl_node *nodes; /* those that the host should have, each looked at */
    size_t n_nodes;
    bool bundle_present, bundle_complete; /* of the loaded version */
};

enum nvl_finding_level { NVL_FINDING_OK, NVL_FINDING_NOTE, NVL_FINDING_PROBLEM };

struct nvl_finding {
    enum nvl_finding_level level;
    const char *subject; /* "nodes" */
    const char *id;      /* "node_stale" */
    char *title;
    char *fix; /* commands; NULL where there is nothing to do */
};

struct nvl_findings {
    struct nvl_finding *items;
    size_t count;
};

void nvl_host_judge(const struct nvl_host_facts *facts, struct nvl_findings *findings);
void host_findings_clear(struct nvl_findings *findings);
