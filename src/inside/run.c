/* The host's side of running something inside a container: starts it, reads what it prints, sees that it
 * ends.
 */
#include "inside/run.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "inside/confine.h"

static unsigned long now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (unsigned long)ts.tv_sec * 1000 + (unsigned long)ts.tv_nsec / 1000000;
}

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

/* Reads what has come. False at its end. */
static bool take_output(int fd, struct nvl_buf *text, size_t max, struct nvl_output *out)
{
    char chunk[16384];
    ssize_t n = read(fd, chunk, sizeof chunk);

    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    size_t room = max - text->len, fits = (size_t)n < room ? (size_t)n : room;
    nvl_buf_add(text, chunk, fits);
    if (fits < (size_t)n)
        out->truncated = true;
    return n > 0;
}

/* Until the child has reported or is gone, or the time is over; a program that has closed its output may
 * still run, and what it left running may keep the output open. */
static void collect(int output, int report, unsigned seconds, size_t max, struct nvl_output *out,
                    struct nvl_child_report *result)
{
    unsigned long begin = now_ms(), limit = (unsigned long)seconds * 1000;
    struct nvl_buf text = {0};
    struct pollfd fds[] = {{output, POLLIN, 0}, {report, POLLIN, 0}};

    for (;;) {
        unsigned long passed = now_ms() - begin;
        if (passed >= limit) {
            out->timed_out = true;
            break;
        }
        if (poll(fds, 2, (int)(limit - passed)) < 0 && errno != EINTR)
            break;
        if (fds[0].revents != 0 && !take_output(output, &text, max, out))
            fds[0].fd = -1;
        if (fds[1].revents != 0) {
            if (read(report, result, sizeof *result) != sizeof *result)
                *result = (struct nvl_child_report){NVL_CHILD_FAILED, EIO, -1};
            break;
        }
    }
    /* what it wrote last is in the pipe; more than a pipe holds is another's */
    for (int i = 0; i < 8 && fds[0].fd >= 0 && poll(fds, 1, 0) > 0 && fds[0].revents != 0; i++)
        if (!take_output(output, &text, max, out))
            break;
    out->millis = now_ms() - begin;
    out->len = text.len;
    out->text = nvl_buf_take(&text);
}

/* The two pipes of a child, both ends; -1 once closed. */
struct pipes {
    int output[2], report[2];
};

static void close_pipes(struct pipes *p)
{
    for (int i = 0; i < 2; i++) {
        nvl_close_ptr(&p->output[i]);
        nvl_close_ptr(&p->report[i]);
    }
}

static int open_pipes(struct pipes *p)
{
    *p = (struct pipes){{-1, -1}, {-1, -1}};
    if (pipe2(p->output, O_CLOEXEC) < 0 || pipe2(p->report, O_CLOEXEC) < 0)
        return -errno;
    return 0;
}

static void keep_child_end(struct pipes *p, bool child)
{
    nvl_close_ptr(&p->output[child ? 0 : 1]);
    nvl_close_ptr(&p->report[child ? 0 : 1]);
    p->output[child ? 0 : 1] = p->report[child ? 0 : 1] = -1;
}

/* The child is ended and reaped whatever it does, and what it left behind: the next one shall not meet it. On
 * a machine that has much to do it takes a while until the last one has been scheduled. */
static void end_child(const struct nvl_inside *in, pid_t child)
{
    kill(-child, SIGKILL);
    kill(child, SIGKILL);
    if (in->parent >= 0)
        nvl_cgroup_kill(in->cgroup);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    for (int i = 0; i < 1000 && in->parent >= 0 && nvl_cgroup_is(in->cgroup, "populated 1"); i++)
        usleep(2000);
}

static void take_result(const struct nvl_child_report *result, struct nvl_output *out)
{
    if (out->timed_out)
        return;
    if (result->kind == NVL_CHILD_ENDED) {
        out->status = result->value;
    } else {
        out->error = -result->value;
        out->at = nvl_child_step_name(result->step);
    }
}

void nvl_inside_run(const struct nvl_inside *in, const struct nvl_inside_command *command,
                    struct nvl_output *out)
{
    nvl_auto(close_pipes) struct pipes p;
    struct nvl_child_report result = {NVL_CHILD_FAILED, EIO, -1};

    *out = (struct nvl_output){0};
    int r = open_pipes(&p);
    fflush(stdout);
    pid_t child = r == 0 ? fork() : -1;
    if (child < 0) {
        out->error = r < 0 ? r : -errno;
        out->at = "start";
        out->text = nvl_xstrdup("");
        return;
    }
    keep_child_end(&p, child == 0);
    if (child == 0)
        nvl_child_run(in, command, p.output[1], p.report[1]);
    collect(p.output[0], p.report[0], command->seconds, command->max, out, &result);
    end_child(in, child);
    take_result(&result, out);
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

_Noreturn static void run_http_get(const struct nvl_inside *in, uint16_t port, const char *path,
                                   const struct pipes *p)
{
    struct nvl_child_report r = {NVL_CHILD_ENDED, 0, 0};

    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    if ((in->namespaces & CLONE_NEWNET) != 0 && setns(in->pidfd, CLONE_NEWNET) < 0)
        r.value = errno;
    else
        r.value = http_get(port, path, p->output[1]);
    r.kind = r.value == 0 ? NVL_CHILD_ENDED : NVL_CHILD_FAILED;
    nvl_fd_write(p->report[1], &r, sizeof r);
    _exit(0);
}

void nvl_inside_http_get(const struct nvl_inside *in, uint16_t port, const char *path, struct nvl_output *out)
{
    nvl_auto(close_pipes) struct pipes p;
    struct nvl_child_report result = {NVL_CHILD_FAILED, EIO, -1};

    *out = (struct nvl_output){0};
    int r = open_pipes(&p);
    pid_t child = r == 0 ? fork() : -1;
    if (child < 0) {
        out->error = r < 0 ? r : -errno;
        out->text = nvl_xstrdup("");
        return;
    }
    keep_child_end(&p, child == 0);
    if (child == 0)
        run_http_get(in, port, path, &p);
    collect(p.output[0], p.report[0], HTTP_SECONDS, HTTP_MAX, out, &result);
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    take_result(&result, out);
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
