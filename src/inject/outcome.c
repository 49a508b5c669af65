/* What bringing a grant into a container did. */
#include "inject/outcome.h"

void nvl_report_clear(struct nvl_report *report)
{
    nvl_strv_clear(&report->done);
    nvl_strv_clear(&report->problems);
    nvl_strv_clear(&report->notes);
}
