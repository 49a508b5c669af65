/* What the hook did and could not do, gathered while it works and said in one line at its end. */
#pragma once

#include <stdbool.h>

#include "base/text.h"

struct nvl_report {
    struct nvl_strv done; /* "driver 550.163.01 mounted" */
    struct nvl_strv
        problems;          /* what the grant names and the container does not get: stops a `required` start */
    struct nvl_strv notes; /* what is only worth knowing */
};

void nvl_report_clear(struct nvl_report *report);
/* One line to the system log (tag nvlxc) and to stdout, which liblxc copies to its own log: "web: done, done;
 * but: problem; note: note". Control characters are replaced. Nothing where there is nothing to say. */
void nvl_report_send(const struct nvl_report *report, const char *container, bool is_start_refused);
