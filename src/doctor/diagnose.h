/* What doctor has found out. */
#pragma once

#include "doctor/findings.h"
#include "doctor/facts.h"

/* A container that has a grant, and what it comes to on this host. */
struct nvl_holder {
    char *name; /* unambiguous */
    struct nvl_resolved resolved;
};

struct nvl_diagnosis {
    struct nvl_host_facts facts;
    struct nvl_findings findings;
    size_t asked;                 /* checks, counted for each container anew */
    struct nvl_strv containers;   /* whose checks were asked */
    struct nvl_strv descriptions; /* of those: "220 (Proxmox CT, unprivileged, hook)" */
    struct nvl_strv warnings;     /* configs that could not be read */
    struct nvl_holder *holders;   /* of the containers that were asked for */
    size_t n_holders;
};

/* Asks all checks, also of `container`, or of all containers of this node where that is NULL. One of them
 * whose config cannot be read is a warning. `d` is to be cleared in any case. */
int nvl_diagnose(const struct nvl_root *root, const char *container, enum nvl_facts_how how, bool deep,
                 struct nvl_diagnosis *d, struct nvl_error *err);
void nvl_diagnosis_clear(struct nvl_diagnosis *d);
