/* What bringing a grant into a container did and could not do, gathered on the way: the start hook says it in
 * one line of the system log, `attach --live` to the user. */
#pragma once

#include "base/text.h"

struct nvl_report {
    struct nvl_strv done; /* "driver 550.163.01 mounted" */
    struct nvl_strv
        problems;          /* what the grant names and the container does not get: stops a `required` start */
    struct nvl_strv notes; /* what is only worth knowing */
};

void nvl_report_clear(struct nvl_report *report);
