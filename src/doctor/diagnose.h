/* The results of doctor. */
#pragma once

#include "doctor/findings.h"
#include "doctor/facts.h"

/* A container that has a grant, and what the grant resolves to on this host. */
struct nvl_holder {
    char *name; /* unambiguous */
    struct nvl_resolved resolved;
};

struct nvl_diagnosis {
    struct nvl_host_facts facts;
    struct nvl_findings findings;
    size_t asked;                 /* checks, counted once per container */
    struct nvl_strv containers;   /* the containers that were checked */
    struct nvl_strv descriptions; /* one for each: "220 (Proxmox CT, unprivileged, hook)" */
    struct nvl_strv warnings;     /* configs that could not be read */
    struct nvl_holder *holders;   /* of the containers that were asked for */
    size_t n_holders;
};

/* Runs all checks of the host, and those of `container`, or of all containers of this node if that is NULL.
 * In the latter case an unreadable config is a warning. The caller clears `d` in any case. */
int nvl_diagnose(const struct nvl_root *root, const char *container, enum nvl_facts_how how, bool deep,
                 struct nvl_diagnosis *d, struct nvl_error *err);
/* What keeps the target from starting with this config, or the driver from it. `config` is taken over. */
void nvl_diagnose_start(const struct nvl_host *host, const struct nvl_target *target,
                        struct nvl_config *config, struct nvl_findings *findings);
void nvl_diagnosis_clear(struct nvl_diagnosis *d);
