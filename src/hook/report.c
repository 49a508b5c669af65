/* What the hook did, said in one line. */
#include "hook/report.h"

#include <stdio.h>
#include <syslog.h>

void nvl_report_clear(struct nvl_report *report)
{
    nvl_strv_clear(&report->done);
    nvl_strv_clear(&report->problems);
    nvl_strv_clear(&report->notes);
}

static void add_part(struct nvl_buf *line, const char *label, const struct nvl_strv *part)
{
    if (part->count == 0)
        return;
    nvl_autofree char *text = nvl_strv_join(part, ", ");
    nvl_buf_addf(line, "%s%s", label, text);
}

void nvl_report_send(const struct nvl_report *report, const char *container, bool is_start_refused)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf line = {0};

    if (report->done.count + report->problems.count + report->notes.count == 0)
        return;
    nvl_buf_addf(&line, "%s", container);
    if (is_start_refused)
        nvl_buf_addf(&line, ": the start is refused, since the GPU is required");
    add_part(&line, ": ", &report->done);
    add_part(&line, report->done.count > 0 ? "; but: " : ": ", &report->problems);
    add_part(&line, "; note: ", &report->notes);
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)line.data[i] < ' ' || line.data[i] == 0x7f)
            line.data[i] = '?';

    openlog("nvlxc", LOG_PID, LOG_DAEMON);
    syslog(report->problems.count > 0 ? LOG_WARNING : LOG_INFO, "%s", line.data);
    closelog();
    printf("nvlxc: %s\n", line.data);
}
