/* The host's side of running something inside a container: starts it, reads what it prints, sees that it
 * ends.
 */
#include "inside/run.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/run.h"
#include "inside/confine.h"

static void kill_listed(int cgroup)
{
    nvl_autofd int fd = openat(cgroup, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    nvl_autofree char *text = NULL;
    const char *line;
    size_t len, line_len, pos = 0;
    char digits[16];
    uint64_t pid;

    if (fd < 0 || nvl_fd_read(fd, 1u << 20, &text, &len) < 0)
        return;
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        if (nvl_copy(digits, sizeof digits, line, line_len) &&
            nvl_parse_uint(digits, 10, INT32_MAX, &pid) == 0 && pid > 1)
            kill((pid_t)pid, SIGKILL);
}

void nvl_cgroup_kill(int cgroup)
{
    nvl_autofd int fd = openat(cgroup, "cgroup.kill", O_WRONLY | O_CLOEXEC);

    /* the kernel has it since 5.14 */
    if (fd < 0 || nvl_fd_write(fd, "1", 1) < 0)
        kill_listed(cgroup);
}

bool nvl_cgroup_is(int cgroup, const char *event)
{
    nvl_autofd int fd = openat(cgroup, "cgroup.events", O_RDONLY | O_CLOEXEC);
    nvl_autofree char *text = NULL;
    size_t len;

    return fd >= 0 && nvl_fd_read(fd, 4096, &text, &len) == 0 && strstr(text, event) != NULL;
}

/* What nvl_child_run works with, and where it reports to. */
struct inside_child {
    const struct nvl_inside *in;
    const struct nvl_inside_command *command;
    int report;
};

static int run_inside_child(void *data)
{
    const struct inside_child *child = data;

    nvl_child_run(child->in, child->command, STDOUT_FILENO, child->report);
}

/* What the command left behind: the next one shall not meet it. On a machine that has much to do it takes a
 * while until the last one has been scheduled. */
static void empty_cgroup(const struct nvl_inside *in)
{
    if (in->parent < 0)
        return;
    nvl_cgroup_kill(in->cgroup);
    for (int i = 0; i < 1000 && nvl_cgroup_is(in->cgroup, "populated 1"); i++)
        usleep(2000);
}

static void give_output(struct nvl_run_result *ran, struct nvl_output *out)
{
    *out = (struct nvl_output){.at = "start",
                               .text = TAKE_PTR(ran->text),
                               .len = ran->len,
                               .truncated = ran->truncated,
                               .timed_out = ran->timed_out,
                               .millis = ran->millis};
}

static void take_report(int report, struct nvl_output *out)
{
    struct nvl_child_report r;

    if (read(report, &r, sizeof r) != sizeof r)
        r = (struct nvl_child_report){NVL_CHILD_FAILED, EIO, -1};
    if (r.kind == NVL_CHILD_ENDED) {
        out->status = r.value;
    } else {
        out->error = -r.value;
        out->at = nvl_child_step_name(r.step);
    }
}

void nvl_inside_run(const struct nvl_inside *in, const struct nvl_inside_command *command,
                    struct nvl_output *out)
{
    nvl_auto(nvl_run_result_clear) struct nvl_run_result ran = {0};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        *out = (struct nvl_output){.at = "start", .text = nvl_xstrdup(""), .error = -errno};
        return;
    }
    nvl_autofd int report = ends[0], childs = ends[1];
    struct inside_child child = {in, command, childs};
    const struct nvl_run run = {.body = run_inside_child,
                                .body_data = &child,
                                .output = NVL_STREAM_TAKEN,
                                .errors = NVL_STREAM_TAKEN,
                                .max = command->max,
                                .seconds = command->seconds};
    int r = nvl_run(&run, &ran);
    empty_cgroup(in);
    give_output(&ran, out);
    if (r == 0)
        take_report(report, out);
    else if (!out->timed_out)
        out->error = r;
}

#define HTTP_MAX     (256u << 10)
#define HTTP_SECONDS 10u

static int http_get(uint16_t port, const char *path, int output)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval limit = {.tv_sec = HTTP_SECONDS / 2};
    char chunk[4096];
    nvl_autofd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return errno;
    /* 1.0: the answer ends with the connection, and comes in one piece */
    nvl_autofree char *request = nvl_xasprintf("GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", path);
    int r = nvl_fd_write(fd, request, strlen(request));
    for (size_t sum = 0; r == 0 && sum < HTTP_MAX;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n == 0)
            break;
        sum += n > 0 ? (size_t)n : 0;
        r = n > 0 ? nvl_fd_write(output, chunk, (size_t)n) : 0;
    }
    return -r;
}

struct http_request {
    const struct nvl_inside *in;
    uint16_t port;
    const char *path;
};

/* In the child: its exit status is an errno. */
static int get_inside(void *data)
{
    const struct http_request *request = data;

    signal(SIGPIPE, SIG_IGN);
    if ((request->in->namespaces & CLONE_NEWNET) != 0 && setns(request->in->pidfd, CLONE_NEWNET) < 0)
        return errno;
    return http_get(request->port, request->path, STDOUT_FILENO);
}

void nvl_inside_http_get(const struct nvl_inside *in, uint16_t port, const char *path, struct nvl_output *out)
{
    struct http_request request = {in, port, path};
    const struct nvl_run run = {.body = get_inside,
                                .body_data = &request,
                                .output = NVL_STREAM_TAKEN,
                                .max = HTTP_MAX,
                                .seconds = HTTP_SECONDS};
    nvl_auto(nvl_run_result_clear) struct nvl_run_result ran = {0};

    int r = nvl_run(&run, &ran);
    give_output(&ran, out);
    if (r == 0)
        out->error = WIFEXITED(ran.status) ? -WEXITSTATUS(ran.status) : -EIO;
    else if (!out->timed_out)
        out->error = r;
}

void nvl_output_clear(struct nvl_output *out)
{
    free(out->text);
    *out = (struct nvl_output){0};
}

char *nvl_output_ending(const struct nvl_output *out, unsigned seconds)
{
    if (out->timed_out)
        return nvl_xasprintf("not done after %u s, so it was ended", seconds);
    if (out->error < 0)
        return nvl_xasprintf("could not be run (%s): %s", out->at, strerror(-out->error));
    if (WIFSIGNALED(out->status))
        return nvl_xasprintf("ended by signal %d (%s)", WTERMSIG(out->status),
                             strsignal(WTERMSIG(out->status)));
    return nvl_xasprintf("exit status %d", WEXITSTATUS(out->status));
}
