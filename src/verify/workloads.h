/* What the workloads' files share. */
#pragma once

#include "verify/step.h"

struct nvl_output;

/* The line of an output that contains `pattern`, or with NULL the last one that is not empty; printable. NULL
 * for none; the caller frees. */
char *nvl_output_line(const struct nvl_output *out, const char *pattern);
/* "not found in the container: …", for a workload that was asked for. */
void nvl_workload_absent(struct nvl_verify *v, const char *id, const char *looked_for);
