/* bench: the same CUDA work on the host and in a container, and how the container's results compare. */
#pragma once

#include "verify/verify.h"

#define NVL_BENCH_MEASURES 6u

struct nvl_bench_measure {
    const char *id;         /* stable: "copy-to-device" */
    const char *title;      /* for people */
    const char *unit;       /* of host and container */
    double host, container; /* medians over the rounds */
    double ratio; /* the container's to the host's, 1 is as good, less is worse: times are turned round */
};

struct nvl_bench {
    char gpu[96];  /* its name, as CUDA says it */
    char uuid[96]; /* "GPU-…", or "MIG-…" as the grant names a part */
    unsigned rounds;
    struct nvl_bench_measure measures[NVL_BENCH_MEASURES];
};

/* Runs the work on both sides in turn, `rounds` times (1 to 99), on the first GPU that the container was
 * given. Of `request` counts what nvl_verify's errors need. An error is what keeps it from measuring: those
 * of nvl_verify; no grant, or one that names no GPU of this host; CUDA that does not work on one side, with
 * the call that failed. */
int nvl_bench(const struct nvl_container_facts *facts, const struct nvl_verify_request *request,
              unsigned rounds, struct nvl_bench *bench, struct nvl_error *err);
