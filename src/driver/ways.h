/* Every way to a driver on this host, in one list for people: each source and branch once, with what it has,
 * whether that fits, and if not, why. It shows the table (answers.h) and the choice (choose.h); it decides
 * nothing. */
#pragma once

#include "driver/answers.h"

/* In the order in which equals are listed. */
enum nvl_way_kind {
    NVL_WAY_DEBIAN,       /* the main packages of Debian's release */
    NVL_WAY_BACKPORTS,    /* those of its backports */
    NVL_WAY_SERIES,       /* Debian's others: tesla-535, legacy-390xx */
    NVL_WAY_DISTRIBUTION, /* another distribution's packages */
    NVL_WAY_RUN,          /* NVIDIA's installer */
    NVL_WAY_ARCHIVE,      /* NVIDIA's archive for Debian */
    NVL_WAY_OTHER,        /* something else that is installed */
};

struct nvl_driver_way {
    enum nvl_way_kind kind;
    char *source;        /* for people: "Debian trixie", "Debian tesla-535", "NVIDIA's .run" */
    char *branch;        /* "580"; NULL if unknown */
    char *version;       /* "550.163.01-4~bpo13+1", "580.142"; NULL if unknown */
    bool or_newer;       /* `version` is the oldest of the branch that fits */
    const char *flavour; /* "open", "proprietary", "either"; NULL if unknown */
    enum nvl_verdict fit;
    char *why_not; /* "builds up to kernel 6.15"; NULL if it fits */
    char *kernel;  /* it fits on this kernel, which Proxmox would pin; NULL for the running one */
    bool is_installed, is_recommended;
};

struct nvl_driver_ways {
    struct nvl_driver_way *items; /* the recommended one first, then what fits */
    size_t count;
    char *kernel; /* the running one, for which they are judged; NULL if unknown */
    char *note;   /* what no row can say: GPUs that no driver joins, an unknown GPU; NULL */
};

void nvl_driver_ways_find(const struct nvl_driver_need *need, struct nvl_driver_ways *ways);
void nvl_driver_ways_clear(struct nvl_driver_ways *ways);
/* "580.142 or newer of 580"; NULL if its version is unknown. The caller frees. */
char *nvl_way_version(const struct nvl_driver_way *way);
