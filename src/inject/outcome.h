/* What putting a grant into a container did and could not do, gathered on the way: the start hook says it in
 * one line of the system log, `attach --live` to the user. */
#pragma once

#include "base/text.h"

struct nvl_record;

struct nvl_outcome {
    struct nvl_strv done; /* "driver 550.163.01 mounted" */
    struct nvl_strv
        problems;          /* what the grant names and the container does not get: stops a `required` start */
    struct nvl_strv notes; /* what is only worth knowing */
};

void nvl_outcome_clear(struct nvl_outcome *outcome);

/* The start hook's first argument where nvlxc itself calls it: what it did goes to its standard output as
 * records, not as a line for people. */
#define NVL_HOOK_RECORDS "--records"

/* Its records (base/records.h). Whoever sends others with them begins their tags at NVL_TAG_OTHERS. */
#define NVL_TAG_OTHERS 16
void nvl_outcome_record(const struct nvl_outcome *outcome, struct nvl_buf *records);
/* Adds the record; false where it is none of an outcome. */
bool nvl_outcome_take(struct nvl_outcome *outcome, const struct nvl_record *record);
