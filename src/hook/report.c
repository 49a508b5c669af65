/* What the hook did, said in one line. */
#include "hook/report.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "base/file.h"

static void add_part(struct nvl_buf *line, const char *label, const struct nvl_strv *part)
{
    if (part->count == 0)
        return;
    nvl_autofree char *text = nvl_strv_join(part, ", ");
    nvl_buf_addf(line, "%s%s", label, text);
}

/* One datagram, without a time of its own: whoever receives it stamps it. syslog(3) would read the time
 * zone's file first. Where there is no log, liblxc's has the line. */
static void send_to_log(int priority, const char *text)
{
    static const struct sockaddr_un log = {.sun_family = AF_UNIX, .sun_path = _PATH_LOG};
    nvl_autofree char *message =
        nvl_xasprintf("<%d>nvlxc[%d]: %s", LOG_DAEMON | priority, (int)getpid(), text);
    nvl_autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        sendto(fd, message, strlen(message), MSG_NOSIGNAL, (const struct sockaddr *)&log, sizeof log);
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

    send_to_log(report->problems.count > 0 ? LOG_WARNING : LOG_INFO, line.data);
    nvl_autofree char *copy = nvl_xasprintf("nvlxc: %s\n", line.data);
    nvl_fd_write(STDOUT_FILENO, copy, strlen(copy));
}
