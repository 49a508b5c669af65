/* verify: tries a container's GPU from inside it, step by step, and says what each step found. The first that
 * fails names its cause. Nothing is installed in the container and nothing of it is changed; what is run in
 * it runs with its own restrictions (inside/enter.h). */
#pragma once

#include "base/error.h"
#include "verify/step.h"

struct nvl_container_facts;

struct nvl_verify_request {
    const char *command;  /* of nvlxc, for messages: "verify" */
    const char *workload; /* one of nvl_verify_workloads; NULL: those that are found in the container */
    const char *user;     /* of the container; NULL: the service user that is found, if any */
    unsigned seconds;     /* limit for each command; 0: each command's own */
    const char *name;     /* the container's, as a shell reads it */
    const char *start, *restart; /* the host's commands that start and restart the container */
};

/* The names that --workload takes; ends with NULL. */
extern const char *const nvl_verify_workloads[];

/* Runs all steps. An error is what keeps it from trying at all: the container does not run, this is not the
 * machine itself, no driver is loaded, no root. */
int nvl_verify(const struct nvl_container_facts *facts, const struct nvl_verify_request *request,
               struct nvl_steps *steps, struct nvl_error *err);
