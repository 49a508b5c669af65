/* What the workloads' files share. */
#pragma once

#include "verify/step.h"

struct nvl_account;
struct nvl_output;

/* Whether --workload names it; `other` may be NULL. */
bool nvl_workload_is_asked(const struct nvl_verify *v, const char *name, const char *other);

/* The line of an output that contains `pattern`, or with NULL the last one that is not empty; printable. NULL
 * for none; the caller frees. */
char *nvl_output_line(const struct nvl_output *out, const char *pattern);
/* "not found in the container: …", for a workload that was asked for. */
void nvl_workload_absent(struct nvl_verify *v, const char *id, const char *looked_for);

/* A message of a program, and what it means. */
struct nvl_known_message {
    const char *pattern; /* NULL ends a list */
    int cuda;            /* the CUDA error behind it, 0 for none */
    const char *cause;
    struct nvl_fix fix;
};
/* Adds the step of a program that failed, with the cause that its output tells. */
void nvl_workload_fail(struct nvl_verify *v, const char *id, const char *what, const struct nvl_output *out,
                       unsigned seconds, const struct nvl_known_message *list);
/* Sets cause and fix of the step by the first message of the list that the output has. False for none. */
bool nvl_workload_explain(const struct nvl_verify *v, const struct nvl_known_message *list,
                          const struct nvl_output *out, struct nvl_step *step);
/* If CUDA does not work, a program that uses it tells nothing new: adds the step that is skipped. */
bool nvl_workload_is_blocked(struct nvl_verify *v, const char *id);

/* Of a list of services that ends with NULL. The first one's user who can be taken; false for none. */
bool nvl_workload_user(const struct nvl_verify *v, const char *const *services, struct nvl_account *user);
/* The unit that keeps its service from the GPU, though a program in the container has it: sets cause and fix
 * of the step, which then fails. False if none does. */
bool nvl_workload_is_closed(const struct nvl_verify *v, const char *const *services, struct nvl_step *step);

/* Adds the step of "podman" or "docker": a container of its own, with the GPU by the CDI specification.
 * `running`: a file that is there while its daemon runs; NULL if it has none. */
void nvl_workload_nest(struct nvl_verify *v, const char *engine, const char *running);
