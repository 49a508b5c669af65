/* A step of verify: what was tried, what was seen, and if it failed, why and what to do. */
#pragma once

#include <stddef.h>
#include <stdbool.h>

#include "base/alloc.h"

struct nvl_verify;

enum nvl_step_result { NVL_STEP_PASS, NVL_STEP_FAIL, NVL_STEP_SKIP };

struct nvl_step {
    const char *id; /* stable: "cuda-init" */
    enum nvl_step_result result;
    char *evidence; /* what was seen; for SKIP the reason */
    char *cause;    /* of FAIL: why; else NULL */
    char *fix;      /* of FAIL: commands, one a line, or what to do in words; NULL if no fix is known */
};

struct nvl_steps {
    struct nvl_step *items;
    size_t count;
};

/* Adds a step and formats its evidence. The pointer is valid until the next step is added. These three make
 * their texts printable; only a fix has lines. */
struct nvl_step *nvl_step_add(struct nvl_verify *v, const char *id, enum nvl_step_result result,
                              const char *fmt, ...) NVL_PRINTF(4, 5);
void nvl_step_cause(struct nvl_step *step, const char *fmt, ...) NVL_PRINTF(2, 3);
void nvl_step_fix(struct nvl_step *step, const char *fmt, ...) NVL_PRINTF(2, 3);

/* A fix that stands in a table. */
struct nvl_fix {
    const char *text; /* NULL: none is known */
    enum {
        NVL_FIX_ALL,          /* the text is complete */
        NVL_FIX_THEN_RESTART, /* the next line is the command that restarts the container */
        NVL_FIX_CONTAINER,    /* the container's name follows */
        NVL_FIX_LIBRARIES,    /* the text is Debian's names of packages with files of the driver that the host
                                 lacks; the fix installs them, makes a new bundle and restarts */
        NVL_FIX_CDI,     /* no text: the fix makes the CDI specification anew, the only one of its kind */
        NVL_FIX_NESTING, /* no text: the fix lets the container have containers, and restarts it */
    } more;
};
void nvl_step_fix_from_table(const struct nvl_verify *v, struct nvl_step *step, const struct nvl_fix *fix);

/* The host's command that makes the container's CDI specification anew; the caller frees. */
char *nvl_step_write_cdi(const struct nvl_verify *v);

/* The first that failed; NULL for none. */
const struct nvl_step *nvl_steps_first_failure(const struct nvl_steps *steps);
const char *nvl_step_result_name(enum nvl_step_result result); /* "pass", "fail", "skip" */
void nvl_steps_clear(struct nvl_steps *steps);
