/* A child process. A pidfd signals its end, not the end of its output: processes that it left running may
 * keep that open. */
#include "base/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/visit.h"

/* What a pipe can still hold after its writer has ended, in reads: pipe(7), 64 KiB. More comes from others.
 */
#define CHUNK      16384
#define LAST_READS 5

/* How long a killed child may take to end. One that takes longer waits for something that no signal ends. */
#define END_MS 2000

/* A sanitizer maps terabytes. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

/* Of a helper: what it takes for itself, what it maps (a library of a container is mapped as a whole), what
 * it writes. */
#define HELPER_MEMORY (256ul << 20)
#define HELPER_MAPS   (16ul << 30)
#define HELPER_FILE   (64ul << 20)

/* Both ends of the pipes between parent and child; -1 for none. */
struct run_pipes {
    int output[2], failure[2];
};

static unsigned long read_clock_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (unsigned long)ts.tv_sec * 1000 + (unsigned long)ts.tv_nsec / 1000000;
}

static bool takes_output(const struct nvl_run *run)
{
    return run->output == NVL_STREAM_TAKEN || run->errors == NVL_STREAM_TAKEN;
}

static int open_run_pipes(const struct nvl_run *run, struct run_pipes *p)
{
    *p = (struct run_pipes){{-1, -1}, {-1, -1}};
    if ((takes_output(run) && pipe2(p->output, O_CLOEXEC) < 0) ||
        (run->body == NULL && pipe2(p->failure, O_CLOEXEC) < 0))
        return -errno;
    return 0;
}

static void close_end(int *fd)
{
    nvl_close_ptr(fd);
    *fd = -1;
}

static void close_run_pipes(struct run_pipes *p)
{
    for (int i = 0; i < 2; i++) {
        close_end(&p->output[i]);
        close_end(&p->failure[i]);
    }
}

static int set_stream(const struct nvl_run *run, enum nvl_stream stream, int null_fd, int taken, int to)
{
    int own = to == STDIN_FILENO ? run->input_fd : run->output_fd;
    int from = stream == NVL_STREAM_CALLERS ? to
               : stream == NVL_STREAM_TAKEN ? taken
               : stream == NVL_STREAM_FD    ? own
                                            : null_fd;

    return from == to || dup2(from, to) >= 0 ? 0 : -errno;
}

static bool needs_null(const struct nvl_run *run)
{
    return run->input == NVL_STREAM_NONE || run->output == NVL_STREAM_NONE || run->errors == NVL_STREAM_NONE;
}

static int set_streams(const struct nvl_run *run, int taken)
{
    nvl_autofd int null_fd = needs_null(run) ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
    int r = null_fd < 0 && needs_null(run) ? -errno : 0;

    if (r == 0)
        r = set_stream(run, run->input, null_fd, -1, STDIN_FILENO);
    if (r == 0)
        r = set_stream(run, run->output, null_fd, taken, STDOUT_FILENO);
    if (r == 0)
        r = set_stream(run, run->errors, null_fd, taken, STDERR_FILENO);
    return r;
}

void nvl_close_callers(void)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;
    uint64_t fd;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (nvl_parse_uint(entry->d_name, 10, INT32_MAX, &fd) < 0 || fd <= STDERR_FILENO)
            continue;
        int flags = fcntl((int)fd, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
            close((int)fd);
    }
    if (dir != NULL)
        closedir(dir);
}

static int limit_helper(const struct nvl_run *run)
{
    const struct {
        __rlimit_resource_t what;
        rlim_t most;
    } limits[] = {
#ifndef SANITIZED
        {RLIMIT_DATA, HELPER_MEMORY},
        {RLIMIT_AS, HELPER_MAPS},
#endif
        {RLIMIT_FSIZE, HELPER_FILE},
        {RLIMIT_CPU, run->seconds},
        {RLIMIT_CORE, 0}};

    /* a lower one that it has already stays */
    for (size_t i = 0; i < NVL_LENGTH(limits); i++) {
        const struct rlimit limit = {limits[i].most, limits[i].most};
        if (setrlimit(limits[i].what, &limit) < 0 && errno != EPERM)
            return -errno;
    }
    return 0;
}

_Noreturn static void become_child(const struct nvl_run *run, const struct run_pipes *p)
{
    nvl_visit_is_childs();
    if (run->seconds > 0) {
        setsid();
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    }
    int r = set_streams(run, p->output[1]);
    if (r == 0 && run->is_helper)
        r = limit_helper(run);
    if (r == 0 && run->body != NULL)
        _exit(run->body(run->body_data));
    if (r == 0) {
        if (run->environment != NULL)
            environ = (char **)run->environment; /* PATH is also taken from it */
        execvp(run->argv[0], (char *const *)run->argv);
        r = -errno;
    }
    nvl_fd_write(p->failure[1], &r, sizeof r);
    _exit(127);
}

/* Reads what has arrived: 1, 0 at its end, or a negative errno. */
static int take_chunk(const struct nvl_run *run, int fd, struct nvl_buf *text, struct nvl_run_result *result)
{
    char chunk[CHUNK];
    ssize_t n = read(fd, chunk, sizeof chunk);

    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 1 : -errno;
    size_t room = run->max - text->len, fits = (size_t)n < room ? (size_t)n : room;
    nvl_buf_add(text, chunk, fits);
    if (fits < (size_t)n)
        result->truncated = true;
    if (n > 0 && run->pass_on != NULL)
        run->pass_on(run->pass_on_data, chunk, (size_t)n);
    return n > 0;
}

/* Works until the child has ended, its time is over, or its output cannot be read, and so says nothing. */
static int collect_output(const struct nvl_run *run, int pidfd, int output, struct nvl_run_result *result)
{
    unsigned long begin = read_clock_ms(), limit = (unsigned long)run->seconds * 1000;
    struct nvl_buf text = {0};
    struct pollfd fds[] = {{pidfd, POLLIN, 0}, {output, POLLIN, 0}};
    int more = output >= 0;

    while (more >= 0) {
        unsigned long passed = read_clock_ms() - begin;
        result->timed_out = run->seconds > 0 && passed >= limit;
        if (result->timed_out)
            break;
        if (poll(fds, 2, run->seconds > 0 ? (int)(limit - passed) : -1) < 0) {
            if (errno == EINTR)
                continue;
            break;
        }
        if (fds[0].revents != 0)
            break;
        if (fds[1].revents != 0 && (more = take_chunk(run, output, &text, result)) <= 0)
            fds[1].fd = -1;
    }
    for (int i = 0; i < LAST_READS && more > 0 && poll(&fds[1], 1, 0) > 0; i++)
        more = take_chunk(run, output, &text, result);
    result->millis = read_clock_ms() - begin;
    result->len = text.len;
    free(result->text);
    result->text = nvl_buf_take(&text);
    return more < 0 ? more : 0;
}

int nvl_child_wait(pid_t child, int *status)
{
    while (waitpid(child, status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

/* Called before the child is reaped, so that its number is still its own. */
static int end_run(const struct nvl_run *run, pid_t child, int pidfd, bool is_ended,
                   struct nvl_run_result *result)
{
    struct pollfd p = {pidfd, POLLIN, 0};

    if (run->seconds > 0 && (!is_ended || !run->spares_rest))
        kill(-child, SIGKILL);
    if (!is_ended)
        kill(child, SIGKILL);
    if (!is_ended && pidfd >= 0 && poll(&p, 1, END_MS) == 0) {
        result->left = child;
        return 0;
    }
    return nvl_child_wait(child, &result->status);
}

/* The error that kept the program from starting; 0 for none. */
static int read_failure(int fd)
{
    int r;

    return fd >= 0 && read(fd, &r, sizeof r) == sizeof r ? r : 0;
}

int nvl_run(const struct nvl_run *run, struct nvl_run_result *result)
{
    nvl_auto(close_run_pipes) struct run_pipes p;

    *result = (struct nvl_run_result){.text = nvl_xstrdup("")};
    int r = open_run_pipes(run, &p);
    fflush(stdout); /* so that the child's output comes after nvlxc's */
    pid_t child = r == 0 ? fork() : -1;
    if (child < 0)
        return r < 0 ? r : -errno;
    if (child == 0)
        become_child(run, &p);
    close_end(&p.failure[1]);
    close_end(&p.output[1]);
    nvl_autofd int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    r = pidfd < 0 ? -errno : 0;
    nvl_visit_pauses(run->seconds > 0);
    if (r == 0)
        r = collect_output(run, pidfd, p.output[0], result);
    int waited = end_run(run, child, pidfd, r == 0 && !result->timed_out, result);
    nvl_visit_pauses(false);
    if (r == 0)
        r = waited;
    if (r == 0)
        r = result->timed_out ? -ETIMEDOUT : read_failure(p.failure[0]);
    return r;
}

void nvl_run_result_clear(struct nvl_run_result *result)
{
    free(result->text);
    *result = (struct nvl_run_result){0};
}

char *nvl_status_text(int status)
{
    if (status >= 0)
        return nvl_xasprintf("status %d", status);
    return nvl_xstrdup(status == -ENOENT      ? "it is not installed"
                       : status == -ETIMEDOUT ? "it did not end in time"
                                              : strerror(-status));
}

int nvl_exit_status(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int nvl_run_status(const struct nvl_run *run)
{
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result;
    int r = nvl_run(run, &result);

    return r < 0 ? r : nvl_exit_status(result.status);
}

int nvl_tool_read(const char *const *argv, unsigned seconds, char *data, size_t size, size_t *len)
{
    const struct nvl_run run = {.argv = argv,
                                .output = NVL_STREAM_TAKEN,
                                .max = size - 1,
                                .seconds = seconds,
                                .is_helper = seconds > 0};
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result;
    int r = nvl_run(&run, &result);

    *len = result.len;
    memcpy(data, result.text, result.len + 1);
    return r < 0 ? r : nvl_exit_status(result.status);
}

int nvl_tool_run(const char *const *argv, unsigned seconds, char *text, size_t size)
{
    size_t len;

    return nvl_tool_read(argv, seconds, text, size, &len);
}
