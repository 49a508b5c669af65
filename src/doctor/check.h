/* The checks: each is one row, {id, question, place, needs, folded_into, function}, beside its function in
 * the file of its subject. The rows of one file make a list; families.c joins the lists. */
#pragma once

#include "doctor/facts.h"
#include "doctor/findings.h"

/* What a check needs before it runs, so that its function can rely on it. Without it the check finds
 * nothing. */
enum nvl_needs {
    /* The host. */
    NVL_NEEDS_LOADED = 1u << 0,  /* NVIDIA's kernel module is loaded */
    NVL_NEEDS_VERSION = 1u << 1, /* the module is loaded, and nvlxc understands its version */
    NVL_NEEDS_UNBUILT = 1u << 2, /* the driver is installed, not loaded, and has no module for this kernel */
    NVL_NEEDS_NVIDIA = 1u << 3,  /* there is a GPU, and its driver is loaded or installed */
    NVL_NEEDS_GRANTS = 1u << 4,  /* a container of this host has a grant */
    /* Not needs: with `deep` facts it sees more; it is about all guests together, so it has no answer where a
     * config could not be read. */
    NVL_SEES_DEEP = 1u << 5,
    NVL_OF_GUESTS = 1u << 6,
    /* The container. */
    NVL_NEEDS_PVE = 1u << 7,       /* its config is Proxmox VE's */
    NVL_NEEDS_LXC = 1u << 8,       /* its config is plain LXC's */
    NVL_NEEDS_GRANT = 1u << 9,     /* it has a grant that nvlxc can read */
    NVL_NEEDS_GPU_WISH = 1u << 10, /* it should have a GPU: a grant that gives something, or lines by hand */
    NVL_NEEDS_BUNDLE = 1u << 11,   /* its grant mounts nvlxc's bundle of the driver */
    NVL_NEEDS_DEPTH = 1u << 12,    /* more than its config was read: NVL_DEPTH_ALL */
    NVL_NEEDS_ROOTFS = 1u << 13,   /* its root file system is accessible */
    NVL_NEEDS_RUNNING = 1u << 14,  /* it runs, its init is known, and its root file system is accessible */
    /* Not a need: whether the container starts, and the driver has a place in it. `attach` asks it of the
     * config that it is about to write; of the host's facts there are only its root and nvl_host. */
    NVL_OF_START = 1u << 15,
};
/* Needs without which a question has no answer: what it asks about may be as it was. Without the others it
 * does not arise. */
#define NVL_NEEDS_TO_ANSWER (NVL_NEEDS_LOADED | NVL_NEEDS_VERSION | NVL_NEEDS_ROOTFS | NVL_NEEDS_RUNNING)

typedef void nvl_host_check(const struct nvl_check *check, const struct nvl_host_facts *facts,
                            struct nvl_findings *findings);
typedef void nvl_container_check(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                 struct nvl_findings *findings);

typedef void nvl_cluster_check_fn(const struct nvl_check *check, const struct nvl_cluster_facts *facts,
                                  struct nvl_findings *findings);

enum nvl_scope { NVL_SCOPE_HOST, NVL_SCOPE_CONTAINER, NVL_SCOPE_CLUSTER };

struct nvl_check {
    const char *id;          /* stable: "uvm-node-stale" */
    const char *question;    /* "Is /dev/nvidia-uvm the driver's device?"; the all-clear lists it */
    unsigned place;          /* in its family: what blocks first has the lower number */
    unsigned needs;          /* from enum nvl_needs */
    const char *folded_into; /* ids, separated by blanks, of checks whose findings may explain this one's if
                                both are about the same thing (nvl_findings_finish); NULL for none */
    enum nvl_scope scope;    /* selects the function */
    union {
        nvl_host_check *host;
        nvl_container_check *container;
        nvl_cluster_check_fn *cluster;
    };
};
/* A row ends with its function, in one of these. */
#define NVL_OF_HOST(name)      .scope = NVL_SCOPE_HOST, .host = (name)
#define NVL_OF_CONTAINER(name) .scope = NVL_SCOPE_CONTAINER, .container = (name)
#define NVL_OF_CLUSTER(name)   .scope = NVL_SCOPE_CLUSTER, .cluster = (name) /* it has no needs */

/* Runs the host's checks, or one container's, and appends their findings, and what could not be answered; if
 * only the container's config was read, only the checks that need no more. `asked` counts the checks. */
void nvl_check_host(const struct nvl_host_facts *facts, struct nvl_findings *findings, size_t *asked);
void nvl_check_container(const struct nvl_container_facts *facts, struct nvl_findings *findings,
                         size_t *asked);
void nvl_check_cluster(const struct nvl_cluster_facts *facts, struct nvl_findings *findings, size_t *asked);
/* Runs only those with NVL_OF_START. */
void nvl_check_start(const struct nvl_container_facts *facts, struct nvl_findings *findings);
