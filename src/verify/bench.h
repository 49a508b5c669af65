/* bench: runs the same CUDA work on the host and in a container, and compares the results. */
#pragma once

#include "verify/verify.h"

#define NVL_BENCH_MEASURES 6u

struct nvl_bench_measure {
    const char *id;         /* stable: "copy-to-device" */
    const char *title;      /* for people */
    const char *unit;       /* of host and container */
    double host, container; /* medians over the rounds */
    double ratio; /* container to host: 1 is equal, less is worse; for times the ratio is inverted */
};

struct nvl_bench {
    char gpu[96];  /* its name, as CUDA reports it */
    char uuid[96]; /* "GPU-…", or "MIG-…" as the grant names a part */
    unsigned rounds;
    struct nvl_bench_measure measures[NVL_BENCH_MEASURES];
};

/* Runs the work on both sides in turn, `rounds` times (1 to 99), on the first GPU that the container was
 * given. It uses the members of `request` that nvl_verify's errors need. An error is what prevents measuring:
 * those of nvl_verify; no grant, or one that names no GPU of this host; CUDA that does not work on one side,
 * with the call that failed. */
int nvl_bench(const struct nvl_container_facts *facts, const struct nvl_verify_request *request,
              unsigned rounds, struct nvl_bench *bench, struct nvl_error *err);
