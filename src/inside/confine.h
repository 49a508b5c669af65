/* The child's side of running something inside a container. */
#pragma once

#include "inside/enter.h"

/* What the child reports through its pipe: a failed step with its errno, or how the program ended. */
struct nvl_child_report {
    enum { NVL_CHILD_FAILED, NVL_CHILD_ENDED } kind;
    int value; /* errno, or the wait status */
    int step;  /* of nvl_child_step_name */
};

/* Never returns. `output` becomes standard output and standard error, `report` gets one report. */
_Noreturn void nvl_child_run(const struct nvl_inside *in, const struct nvl_inside_command *command,
                             int output, int report);
const char *nvl_child_step_name(int step);
