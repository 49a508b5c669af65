/* One run of verify or bench: the entry into the container, what runs there, and what was learned so far. */
#pragma once

#include "host/node.h"
#include "inside/enter.h"
#include "inside/probe_output.h"
#include "inside/run.h"
#include "verify/step.h"

struct nvl_container_facts;
struct nvl_verify_request;

/* A node that the container should have, as it is inside. */
struct nvl_inside_node {
    struct nvl_node node;        /* inspected below the container's root */
    enum nvl_node_state on_host; /* the same node on the host */
    int error;                   /* errno of opening it as the container's root; 0: opened */
    int user_error;              /* the same as the container's user */
    bool needed;                 /* without it the GPU does not work; else a part of the grant */
};

/* Whether it cannot be used: because of what it is, or because opening it failed. */
bool nvl_inside_node_is_bad(const struct nvl_inside_node *node, int error);

/* The result of one run of the probe. */
struct nvl_probe_run {
    struct nvl_output out;
    struct nvl_probe_lines lines;
};

struct nvl_verify {
    const struct nvl_container_facts *facts;
    const struct nvl_verify_request *request;
    struct nvl_steps *steps;
    struct nvl_inside inside;
    int probe; /* the program, sealed in memory */
    struct nvl_strv environment;
    struct nvl_account user; /* name NULL: none */
    unsigned capabilities;   /* granted; all if the lines are by hand */

    /* learned during the run */
    struct nvl_inside_node *nodes;
    size_t n_nodes;
    struct nvl_probe_run nvml, cuda;
    bool starts;                    /* the probe starts: it has glibc's dynamic linker */
    char *libcuda, *libnvidia_ml;   /* the files that its loader takes, NULL if none loads */
    bool cuda_works;                /* a kernel's result was right */
    struct nvl_strv specifications; /* CDI's, of NVIDIA's GPUs: paths in the container */
    const char *cuda_why_not;       /* the step that failed instead; NULL if none was tried */
};

/* Enters the container and holds the probe in memory; runs nothing yet. The caller closes it even after an
 * error. */
int nvl_verify_open(struct nvl_verify *v, const struct nvl_container_facts *facts,
                    const struct nvl_verify_request *request, struct nvl_error *err);
void nvl_verify_close(struct nvl_verify *v);

/* Runs the probe; `arguments` ends with NULL. */
void nvl_verify_probe(struct nvl_verify *v, const char *const *arguments, const struct nvl_account *user,
                      struct nvl_probe_run *run);
void nvl_probe_run_clear(struct nvl_probe_run *run);
#define NVL_PROBE_SECONDS 60u
/* If the probe did not reach its end: how it ended, and in which call; the caller frees. */
char *nvl_probe_run_ending(const struct nvl_verify *v, const struct nvl_probe_run *run);
/* Runs a program of the container. */
void nvl_verify_program(struct nvl_verify *v, const char *const *argv, const struct nvl_account *user,
                        unsigned seconds, struct nvl_output *out);
/* Tells the request's function what runs now. */
void nvl_verify_note(const struct nvl_verify *v, const char *what);
unsigned nvl_verify_seconds(const struct nvl_verify *v, unsigned normally);
/* The part after the first blank of a probe's text ("libcuda.so.1 /usr/lib/…"); "" if there is none. */
const char *nvl_probe_second(const char *text);
/* The first of the paths, a list that ends with NULL, that is a file of the container; NULL for none. */
const char *nvl_verify_find(const struct nvl_verify *v, const char *const *paths);
