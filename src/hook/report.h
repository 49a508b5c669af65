/* What the hook did and could not do, said in one line at its end. */
#pragma once

#include <stdbool.h>

#include "inject/outcome.h"

/* One line to the system log (tag nvlxc) and to stdout, which liblxc copies to its own log: "web: done, done;
 * but: problem; note: note". Control characters are replaced. Nothing where there is nothing to say. */
void nvl_report_send(const struct nvl_report *report, const char *container, bool is_start_refused);
