/* Carries the plan out, step by step, and checks each step before and after it. Reports progress through the
 * caller's function; the commands' own output goes to stdout and into the log. */
#pragma once

#include "setup/setup.h"

#define NVL_SETUP_LOG "/var/log/nvlxc-setup.log"

struct nvl_setup_run {
    const struct nvl_setup_request *request;
    bool quiet;   /* the commands' output goes only into the log */
    bool unasked; /* nobody answers questions: commands get no input, and debconf is told so */
    void (*say)(void *data, const char *line); /* progress, without the newline */
    void *data;
};

/* Runs the pending steps of `plan`. Reads the host again before each step, and skips it if it is done by
 * then; after it the step must be done. Stops at the first failure, with the hint what to do; finished steps
 * are kept, and recognized as done the next time. Only on the machine itself, as root. */
int nvl_setup_carry_out(const struct nvl_root *root, const struct nvl_setup_plan *plan,
                        const struct nvl_setup_run *run, struct nvl_error *err);

/* What `apt-get --simulate` printed: the packages that it would remove, and the version of `package` that it
 * would install ("" if none; version may be NULL). Public for tests. */
void nvl_simulation_parse(const char *text, size_t len, struct nvl_strv *removed, const char *package,
                          char **version);
