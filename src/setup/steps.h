/* The steps of host setup: what a step is, and functions to add its commands and edits and to find it. The
 * families of steps (steps_apt.c, steps_driver.c, steps_boot.c) add theirs in the order of the plan. */
#pragma once

#include "driver/choose.h"
#include "driver/ways.h"
#include "setup/sources.h"

struct nvl_setup_facts; /* inventory.h */

enum nvl_setup_state {
    NVL_SETUP_DONE,
    NVL_SETUP_PENDING,
    NVL_SETUP_NOT_NEEDED,
    NVL_SETUP_YOURS,      /* a person must do it: a password to choose, a reboot */
    NVL_SETUP_IMPOSSIBLE, /* nothing runs while one of these is in the plan */
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
    bool installs; /* its one command is apt-get install: a dry run comes first, which must remove nothing */
    bool leaves_no_trace;   /* the facts do not show that it was done (apt-get update) */
    const char *on_failure; /* what to do if it fails */
};

struct nvl_setup_plan {
    struct nvl_setup_step *steps;
    size_t count;
    struct nvl_choice choice;
    struct nvl_driver_ways ways; /* all that there are, the recommended one first */
    bool needs_reboot;           /* at the end */
};

/* What the user asks for. */
struct nvl_setup_request {
    unsigned capabilities;
    struct nvl_driver_wish wish;
};

/* What the steps are made from. */
struct nvl_setup {
    const struct nvl_setup_facts *facts;
    const struct nvl_choice *choice;
    const struct nvl_setup_request *request;
    bool builds;                                     /* a module is built, with the headers */
    const struct nvl_strv *tools, *headers, *driver; /* packages */
    struct nvl_setup_plan *plan;
};

/* Appends a step; takes the reason over. */
struct nvl_setup_step *nvl_setup_step_add(struct nvl_setup_plan *plan, const char *id, const char *title,
                                          enum nvl_setup_state state, char *reason);
/* Adds a command, its words up to a NULL. */
struct nvl_strv *nvl_setup_step_command(struct nvl_setup_step *step, const char *word, ...)
    __attribute__((sentinel));
/* A whole new file; nothing if it is already right. */
bool nvl_setup_step_write(struct nvl_setup_step *step, const char *path, const char *old_text,
                          const char *new_text);

const struct nvl_setup_step *nvl_setup_find(const struct nvl_setup_plan *plan, const char *id);
/* The first step in this state; NULL. */
const struct nvl_setup_step *nvl_setup_first(const struct nvl_setup_plan *plan, enum nvl_setup_state state);
const char *nvl_setup_state_name(enum nvl_setup_state state); /* "to do" */

/* A command as one would type it into a shell; the caller frees. */
char *nvl_setup_command_text(const struct nvl_strv *argv);

/* Whether the loaded driver has another version than the packages after the plan is carried out. */
bool nvl_driver_is_pending(const struct nvl_setup *setup);

/* components, backports, archive-key, archive, update, dpkg, kernel, tools, headers */
void nvl_steps_apt(struct nvl_setup *setup);
/* blacklist, barriers, claims, other-driver, branch, driver, module, initramfs */
void nvl_steps_driver(struct nvl_setup *setup);
/* pin, secure-boot, boot, load */
void nvl_steps_boot(struct nvl_setup *setup);
