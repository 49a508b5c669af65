/* Carries out what `create` plans, and undoes it. What is done is kept in a record until all is, so that the
 * next run goes on behind it, and undoing removes only what was made. */
#pragma once

#include "create/plan.h"

struct nvl_create_run {
    bool quiet;                                 /* no step's output is shown */
    void (*say)(void *data, const char *line);  /* progress, without the newline */
    void (*step)(void *data, const char *what); /* what goes on now */
    void *data;
};

/* Whether it was begun and is to go on: 1 or 0. -EBUSY: begun as something else, with a hint; -EEXIST: there
 * is such a container, which is not `create`'s. */
int nvl_create_is_begun(const struct nvl_root *root, const struct nvl_create_plan *plan,
                        struct nvl_error *err);
/* Runs the steps that are not done. Stops at the first failure, with the end of what it printed. Only on the
 * machine itself, as root; the output is in NVL_CREATE_LOG. */
int nvl_create_carry_out(const struct nvl_root *root, const struct nvl_create_plan *plan,
                         const struct nvl_create_run *run, struct nvl_error *err);
/* Undoes what the record of that container has, the last step first. */
int nvl_create_undo(const struct nvl_root *root, const char *container, const struct nvl_create_run *run,
                    struct nvl_error *err);
/* The name of the container that an unfinished run of that template made, where there is exactly one and it
 * has a number; the caller frees. NULL for none. */
char *nvl_create_unfinished(const struct nvl_root *root, const char *template);
