/* Carrying the plan out: step by step, each looked at again before and after it. Says what it does through
 * the caller's function; the commands' own output passes through to stdout and into the log. */
#pragma once

#include "setup/setup.h"

#define NVL_SETUP_LOG "/var/log/nvlxc-setup.log"

struct nvl_setup_run {
    unsigned capabilities;
    bool quiet;   /* the commands' output goes into the log alone */
    bool unasked; /* nobody answers questions: commands have no input, and debconf is told so */
    void (*say)(void *data, const char *line); /* progress, without the newline */
    void *data;
};

/* Runs the steps of `plan` that are to do. Before each the host is read again: what is done by then is left
 * out; after each it must be done. Stops at the first that fails, with the hint of what to do; what was done
 * is kept, and is seen as done the next time. Only on the machine itself, as root. */
int nvl_setup_carry_out(const struct nvl_root *root, const struct nvl_setup_plan *plan,
                        const struct nvl_setup_run *run, struct nvl_error *err);

/* What `apt-get --simulate` printed: the packages that it would remove, and the version of `package` that it
 * would install ("" where it would not; version may be NULL). For tests too. */
void nvl_simulation_parse(const char *text, size_t len, struct nvl_strv *removed, const char *package,
                          char **version);
