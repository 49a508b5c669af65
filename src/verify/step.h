/* What the steps of verify share: where they are, what they learned so far, and how they say what they found.
 * For the verify_*.c files alone. */
#pragma once

#include "verify/verify.h"
#include "inside/enter.h"
#include "inside/probe_output.h"

/* A node that the container should have, as it is inside. */
struct nvl_inside_node {
    struct nvl_node node;        /* looked at below the container's root */
    enum nvl_node_state on_host; /* the same node there */
    int error;                   /* errno of opening it as the container's root; 0: opened */
    int user_error;              /* and as its user */
    bool needed;                 /* without it the GPU does not work; else a part of the grant */
};

/* Whether it cannot be used, by what it is or by what opening it gave. */
bool nvl_inside_node_is_bad(const struct nvl_inside_node *node, int error);

/* What one run of the probe gave. */
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
    unsigned capabilities;   /* granted; all where the lines are by hand */

    /* learned on the way */
    struct nvl_inside_node *nodes;
    size_t n_nodes;
    struct nvl_probe_run nvml, cuda;
    bool starts;                  /* the probe starts: it has glibc's dynamic linker */
    char *libcuda, *libnvidia_ml; /* the files that its loader takes, NULL where none loads */
    bool cuda_works;              /* a kernel's result was right */
    const char *cuda_why_not;     /* the step that failed instead; NULL where none was tried */
};

/* The way in: the container is entered, the probe held in memory. Nothing is run yet. To be closed also after
 * an error. */
int nvl_verify_open(struct nvl_verify *v, const struct nvl_container_facts *facts,
                    const struct nvl_verify_request *request, struct nvl_error *err);
void nvl_verify_close(struct nvl_verify *v);

/* Adds a step, its evidence formatted. The pointer is good until the next one is added. These three make
 * their texts printable; only a fix has lines. */
struct nvl_step *nvl_step_add(struct nvl_verify *v, const char *id, enum nvl_step_result result,
                              const char *fmt, ...) NVL_PRINTF(4, 5);
void nvl_step_cause(struct nvl_step *step, const char *fmt, ...) NVL_PRINTF(2, 3);
void nvl_step_fix(struct nvl_step *step, const char *fmt, ...) NVL_PRINTF(2, 3);
/* A fix that stands in a table: behind a newline at its end comes the command that restarts the container,
 * behind a blank the container's name. */
void nvl_step_fix_from_table(const struct nvl_verify *v, struct nvl_step *step, const char *fix);
/* A name that the container chose can stand in a fix: whoever pastes that into a shell gets the name and no
 * more. */
bool nvl_is_plain(const char *name);

/* Runs the probe; `arguments` ends with NULL. */
void nvl_verify_probe(struct nvl_verify *v, const char *const *arguments, const struct nvl_account *user,
                      struct nvl_probe_run *run);
void nvl_probe_run_clear(struct nvl_probe_run *run);
#define NVL_PROBE_SECONDS 60u
/* Where the probe did not come to its end: how it ended, and in which call; the caller frees. */
char *nvl_probe_run_ending(const struct nvl_verify *v, const struct nvl_probe_run *run);
/* Runs a program of the container. */
void nvl_verify_program(struct nvl_verify *v, const char *const *argv, const struct nvl_account *user,
                        unsigned seconds, struct nvl_output *out);
unsigned nvl_verify_seconds(const struct nvl_verify *v, unsigned normally);
/* Behind the first blank of a probe's text ("libcuda.so.1 /usr/lib/…"); "" where there is none. */
const char *nvl_probe_second(const char *text);
/* The first of the paths, a list that ends with NULL, that is a file of the container; NULL for none. */
const char *nvl_verify_find(const struct nvl_verify *v, const char *const *paths);

/* The line of an output that holds `pattern`, or with NULL the last one that is not empty; printable. NULL
 * for none; the caller frees. */
char *nvl_output_line(const struct nvl_output *out, const char *pattern);
/* "ID is not in this container", for a workload that was asked for. */
void nvl_workload_absent(struct nvl_verify *v, const char *id, const char *looked_for);
/* A message of a program, and what it means. */
struct nvl_known_message {
    const char *pattern;
    int cuda; /* the CUDA error behind it, 0 for none */
    const char *cause, *fix;
};
/* Sets the cause by the first message of the list (which ends with a NULL pattern) that is in the output.
 * False for none. */
bool nvl_cause_of_message(const struct nvl_verify *v, const struct nvl_known_message *list,
                          const struct nvl_output *out, struct nvl_step *step);

/* Causes (causes.c, cause_nodes.c, cause_libraries.c): from an error to what is wrong
 * here, by what was learned before. */
void nvl_cause_of_node(const struct nvl_verify *v, const struct nvl_inside_node *node, int error,
                       struct nvl_step *step);
void nvl_cause_of_nvml(const struct nvl_verify *v, int code, struct nvl_step *step);
void nvl_cause_of_cuda(const struct nvl_verify *v, int code, struct nvl_step *step);
/* `complaint`: the loader's, or the soname again where all that is known is that it was not found. */
void nvl_cause_of_library(const struct nvl_verify *v, const char *soname, const char *complaint,
                          struct nvl_step *step);
void nvl_cause_of_version(const struct nvl_verify *v, const char *path, const char *version,
                          struct nvl_step *step);
/* "CUDA_ERROR_UNKNOWN" of 999; "" for a number that is not known. */
const char *nvl_cuda_name(int code);

/* The steps, in order. */
void nvl_verify_grant(struct nvl_verify *v);
void nvl_verify_nodes(struct nvl_verify *v);     /* libc, nodes, nodes-user */
void nvl_verify_libraries(struct nvl_verify *v); /* libnvidia-ml, libcuda, nvidia-smi */
void nvl_verify_nvml(struct nvl_verify *v);
void nvl_verify_cuda(struct nvl_verify *v);  /* cuda-init, cuda-devices, cuda-memory, cuda-kernel */
void nvl_verify_media(struct nvl_verify *v); /* nvenc, nvdec, opencl, vulkan */
void nvl_verify_ollama(struct nvl_verify *v, bool asked_for);
void nvl_verify_pytorch(struct nvl_verify *v, bool asked_for);
void nvl_verify_tensorflow(struct nvl_verify *v, bool asked_for);
void nvl_verify_ffmpeg(struct nvl_verify *v, bool asked_for);
void nvl_verify_cdi(struct nvl_verify *v, bool asked_for);
