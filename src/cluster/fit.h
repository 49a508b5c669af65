/* Whether a container of the cluster would have its GPU on a node. */
#pragma once

#include "cluster/guests.h"

enum nvl_fit_verdict {
    NVL_FIT_RUNS,
    NVL_FIT_PERHAPS, /* it gets its GPU there; something may keep its programs from working */
    NVL_FIT_NOT,     /* it starts without its GPU, or not at all */
    NVL_FIT_UNKNOWN, /* the node does not say what it has */
};

struct nvl_fit {
    enum nvl_fit_verdict verdict;
    struct nvl_strv reasons; /* why not, or why perhaps; sentences without a full stop that name the node */
    struct nvl_resolved resolved; /* its GPUs there; nodes of /dev/dri and of MIG devices are not known */
};

/* The guest has a grant. `guests` are all (for who else has the GPU there), NULL: nobody is asked about. The
 * caller clears `fit`. */
void nvl_cluster_fit(const struct nvl_cluster_guests *guests, const struct nvl_cluster_guest *guest,
                     const struct nvl_cluster_node *node, struct nvl_fit *fit);
void nvl_fit_clear(struct nvl_fit *fit);
/* "yes", "perhaps", "no", "unknown": stable. */
const char *nvl_fit_verdict_name(enum nvl_fit_verdict verdict);
/* Whether it names a GPU or a MIG device that only one node of the cluster can have. */
bool nvl_grant_names_one(const struct nvl_grant *grant);
