/* verify: tries a container's GPU from inside it, step by step, and reports what each step found. The first
 * step that fails names its cause. Nothing is installed or changed in the container; what runs there has the
 * container's own restrictions (inside/enter.h). */
#pragma once

#include "base/error.h"
#include "verify/step.h"

struct nvl_container_facts;

struct nvl_verify_request {
    const char *command;  /* of nvlxc, for messages: "verify" */
    const char *workload; /* one of nvl_verify_workloads; NULL: those that are found in the container */
    const char *user;     /* of the container; NULL: the service user that is found, if any */
    unsigned seconds;     /* limit for each command; 0: each command's own */
    const char *name;     /* the container's, quoted for a shell */
    const char *start, *restart; /* the host's commands that start and restart the container */
    /* Told what runs now, for whoever waits; may be NULL. */
    void (*note)(void *data, const char *what);
    void *note_data;
};

/* The names that --workload takes; ends with NULL. */
extern const char *const nvl_verify_workloads[];

/* Runs all steps. An error is what prevents trying at all: the container is not running, this is not the
 * machine itself, no driver is loaded, no root. */
int nvl_verify(const struct nvl_container_facts *facts, const struct nvl_verify_request *request,
               struct nvl_steps *steps, struct nvl_error *err);
