/* What putting a grant into a container did and could not do: the start hook reports it in one line of the
 * system log, `attach --live` to the user. */
#pragma once

#include "base/text.h"

struct nvl_record;

struct nvl_outcome {
    struct nvl_strv done;     /* "driver 550.163.01 mounted" */
    struct nvl_strv problems; /* granted, but not in the container: stops a `required` start */
    struct nvl_strv notes;    /* useful to know, nothing more */
};

void nvl_outcome_clear(struct nvl_outcome *outcome);

/* The start hook's first argument if nvlxc itself calls it: the hook then reports on standard output as
 * records, not as a line for people. */
#define NVL_HOOK_RECORDS "--records"

/* Appends its records (base/records.h). Tags of other records in the same stream begin at NVL_TAG_OTHERS. */
#define NVL_TAG_OTHERS 16
void nvl_outcome_record(const struct nvl_outcome *outcome, struct nvl_buf *records);
/* Adds the record; false if it does not belong to an outcome. */
bool nvl_outcome_take(struct nvl_outcome *outcome, const struct nvl_record *record);
