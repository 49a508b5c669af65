/* What doctor has found out, and its three forms: for people, for programs, for a forum. */
#pragma once

#include "check/check.h"
#include "check/facts.h"
#include "cli/command.h"

struct nvl_diagnosis {
    struct nvl_host_facts facts;
    struct nvl_findings findings;
    size_t asked;                 /* checks, counted for each container anew */
    struct nvl_strv containers;   /* whose checks were asked */
    struct nvl_strv descriptions; /* of those: "220 (Proxmox CT, unprivileged, hook)" */
};

void nvl_diagnosis_print(const struct nvl_context *ctx, const struct nvl_diagnosis *d);
json_t *nvl_json_findings(const struct nvl_findings *findings);
/* Markdown, without names of hosts and users, addresses, serial numbers and tokens; the caller frees. */
char *nvl_diagnosis_report(const struct nvl_diagnosis *d);
