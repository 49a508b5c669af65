/* The plan of host setup: numbered steps that bring this host to where it serves GPUs, each with its reason
 * and its exact commands or edits, and whether it is done already. Made from facts alone. */
#pragma once

#include "driver/choose.h"
#include "setup/inventory.h"

enum nvl_setup_state {
    NVL_SETUP_DONE,
    NVL_SETUP_PENDING,
    NVL_SETUP_NOT_NEEDED,
    NVL_SETUP_YOURS,      /* to be done by a person: a password to choose, a reboot */
    NVL_SETUP_IMPOSSIBLE, /* nothing is run while one of these is in the plan */
};

struct nvl_setup_step {
    const char *id;    /* "components" */
    const char *title; /* "archive components" */
    char *reason;
    enum nvl_setup_state state;
    struct nvl_strv *commands; /* each an argv, in order */
    size_t n_commands;
    struct nvl_edit *edits; /* written before the commands run */
    size_t n_edits;
    bool installs; /* its one command is apt-get install: tried first by a dry run, which must remove nothing
                    */
    bool leaves_no_trace;   /* the facts do not show that it was done (apt-get update) */
    const char *on_failure; /* what to do where it fails */
};

struct nvl_setup_plan {
    struct nvl_setup_step *steps;
    size_t count;
    struct nvl_choice choice;
    bool needs_reboot; /* at the end */
};

/* -ENOTSUP (exit status 3) on a machine that setup does not know, says what was found; -ENODEV where there
 * is no GPU for it. A driver that cannot be had is a step of the plan, IMPOSSIBLE. */
int nvl_setup_plan_make(const struct nvl_root *root, unsigned capabilities, struct nvl_setup_plan *plan,
                        struct nvl_error *err);
void nvl_setup_plan_clear(struct nvl_setup_plan *plan);

const struct nvl_setup_step *nvl_setup_find(const struct nvl_setup_plan *plan, const char *id);
/* The first step that is in this state; NULL. */
const struct nvl_setup_step *nvl_setup_first(const struct nvl_setup_plan *plan, enum nvl_setup_state state);
const char *nvl_setup_state_name(enum nvl_setup_state state); /* "to do" */

/* A command as it would be typed into a shell; the caller frees. */
char *nvl_setup_command_text(const struct nvl_strv *argv);
/* The plan for people: what the host is, then the steps. */
void nvl_setup_plan_show(const struct nvl_setup_plan *plan, struct nvl_buf *out);
