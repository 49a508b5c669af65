/* What putting a grant into a container did. */
#include "inject/outcome.h"

#include "base/records.h"

enum { TAG_DONE = 1, TAG_PROBLEM, TAG_NOTE };

void nvl_outcome_clear(struct nvl_outcome *outcome)
{
    nvl_strv_clear(&outcome->done);
    nvl_strv_clear(&outcome->problems);
    nvl_strv_clear(&outcome->notes);
}

void nvl_outcome_record(const struct nvl_outcome *outcome, struct nvl_buf *records)
{
    nvl_records_add_list(records, TAG_DONE, &outcome->done);
    nvl_records_add_list(records, TAG_PROBLEM, &outcome->problems);
    nvl_records_add_list(records, TAG_NOTE, &outcome->notes);
}

bool nvl_outcome_take(struct nvl_outcome *outcome, const struct nvl_record *record)
{
    struct nvl_strv *const lists[] = {
        [TAG_DONE] = &outcome->done, [TAG_PROBLEM] = &outcome->problems, [TAG_NOTE] = &outcome->notes};

    if (record->tag >= NVL_LENGTH(lists) || lists[record->tag] == NULL)
        return false;
    nvl_record_push(record, lists[record->tag]);
    return true;
}
