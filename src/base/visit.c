/* Two processes, the one that works and the one that watches. They share a page, in which the worker says
 * whom it visits. */
#include "base/visit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/locks.h"
#include "base/printable.h"
#include "base/run.h"
#include "base/text.h"

#define TICK_MS      100
#define TICKS_KILLED 10 /* for one that was told to end */
#define DEPTH_MAX    8
#define WHOM_MAX     256
#define KEPT_MAX     (64u << 20)

/* Of nested visits the innermost counts. `turns` changes whenever the time begins anew. */
struct page {
    atomic_uint depth, turns, seconds;
    atomic_bool is_paused, is_writing;
    char whom[DEPTH_MAX][WHOM_MAX];
};

static struct page *page;      /* NULL: nobody watches */
static struct nvl_strv silent; /* they did not answer */
static bool is_childs;
static int marks[DEPTH_MAX];

/* One of the worker's two output streams. A terminal stays the worker's: nobody waits for its end. */
struct stream {
    int to, from; /* the caller's, and the pipe; -1 for a terminal, and once it has ended */
    struct nvl_buf kept;
};

struct watch {
    pid_t worker;
    int pidfd, signals;
    struct stream streams[2]; /* standard output, and standard error unless it is the same file */
    unsigned turn, ticks;     /* for how long the same visit has been seen */
    int signal;               /* it was told to end; 0 */
};

/* ---- streams ---- */

static bool is_same_file(int a, int b)
{
    struct stat one, other;

    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

/* Gives the worker's end, -1 if the worker keeps the caller's. */
static int open_stream(struct stream *s, int to)
{
    int ends[2];

    *s = (struct stream){.to = to, .from = -1};
    if (isatty(to) || pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    s->from = ends[0];
    return ends[1];
}

static void pass_on(struct stream *s)
{
    int r = s->kept.len > 0 ? nvl_fd_write(s->to, s->kept.data, s->kept.len) : 0;

    s->kept.len = 0;
    if (r < 0 && s->to == STDOUT_FILENO) {
        dprintf(STDERR_FILENO, "nvlxc: cannot write the output: %s\n", strerror(-r));
        _exit(NVL_EXIT_FAILED);
    }
}

/* Takes what has arrived. Once the worker writes, it is shown at once. */
static void take_stream(struct stream *s)
{
    char chunk[16384];
    ssize_t n = 0;

    while (s->from >= 0 && (n = read(s->from, chunk, sizeof chunk)) > 0) {
        nvl_buf_add(&s->kept, chunk, (size_t)n);
        if (s->kept.len > KEPT_MAX)
            nvl_visit_writes();
    }
    if (n == 0 && s->from >= 0)
        nvl_close_ptr(&s->from), s->from = -1;
    if (page->is_writing)
        pass_on(s);
}

static void drop_stream(struct stream *s)
{
    nvl_close_ptr(&s->from);
    nvl_buf_clear(&s->kept);
    *s = (struct stream){.to = s->to, .from = -1};
}

/* ---- the parent ---- */

static void end_by_signal(int number)
{
    sigset_t one;

    signal(number, SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, number);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    _exit(128 + number);
}

/* Ends as the worker has ended. */
_Noreturn static void end_as_worker(struct watch *w)
{
    int status = 0;

    waitpid(w->worker, &status, 0);
    for (size_t i = 0; i < NVL_LENGTH(w->streams); i++) {
        take_stream(&w->streams[i]);
        pass_on(&w->streams[i]);
    }
    if (WIFSIGNALED(status))
        end_by_signal(WTERMSIG(status));
    _exit(nvl_exit_status(status));
}

static bool is_over(const struct watch *w, int ms)
{
    struct pollfd p = {w->pidfd, POLLIN, 0};

    return poll(&p, 1, ms) > 0;
}

static void say_silence(const struct watch *w, const char *whom, bool is_left)
{
    nvl_autofree char *left =
        is_left ? nvl_xasprintf("; process %d waits for it until it answers or is gone", (int)w->worker)
                : nvl_xstrdup("");

    if (page->is_writing)
        dprintf(
            STDERR_FILENO,
            "nvlxc: %s did not answer within %d s, and the command did not come to its end; look for what "
            "hangs there (a file system of FUSE or of a network, a driver), then run it again%s\n",
            whom, (int)page->seconds, left);
    else
        dprintf(STDERR_FILENO,
                "nvlxc: warning: %s did not answer within %d s and is left out; look for what hangs there "
                "(a file system of FUSE or of a network, a driver)%s\n",
                whom, (int)page->seconds, left);
}

/* Leaves the worker behind. Returns if another one shall go on. */
static void leave_worker(struct watch *w)
{
    unsigned depth = page->depth <= DEPTH_MAX ? page->depth : DEPTH_MAX;
    nvl_autofree char *whom =
        nvl_make_printable(nvl_xstrndup(depth > 0 ? page->whom[depth - 1] : "", WHOM_MAX - 1));

    kill(w->worker, SIGKILL);
    bool is_left = !is_over(w, 1000);
    if (!is_left)
        waitpid(w->worker, NULL, 0);
    if (w->signal != 0)
        end_by_signal(w->signal);
    say_silence(w, whom, is_left);
    if (page->is_writing)
        _exit(NVL_EXIT_FAILED);
    nvl_strv_push(&silent, depth > 0 ? page->whom[depth - 1] : "");
}

/* Whether the visit has lasted too long. Ticks are counted, not time: a stopped program is in no hurry. */
static bool is_too_long(struct watch *w)
{
    if (page->depth == 0 || page->is_paused || page->turns != w->turn) {
        w->turn = page->turns;
        w->ticks = 0;
        return false;
    }
    return ++w->ticks >= (w->signal != 0 ? TICKS_KILLED : page->seconds * 1000 / TICK_MS);
}

static void take_signal(struct watch *w)
{
    struct signalfd_siginfo info;

    if (read(w->signals, &info, sizeof info) != sizeof info)
        return;
    w->signal = (int)info.ssi_signo;
    w->ticks = 0;
    kill(w->worker, w->signal);
}

/* Ends the program as the worker ends. Returns 1 once the worker is left behind. */
static int watch_worker(struct watch *w)
{
    w->pidfd = (int)syscall(SYS_pidfd_open, w->worker, 0);
    struct pollfd fds[] = {{w->pidfd, POLLIN, 0},
                           {w->signals, POLLIN, 0},
                           {w->streams[0].from, POLLIN, 0},
                           {w->streams[1].from, POLLIN, 0}};

    if (w->pidfd < 0) {
        int r = -errno;
        kill(w->worker, SIGKILL);
        waitpid(w->worker, NULL, 0);
        return r;
    }
    for (;;) {
        int n = poll(fds, NVL_LENGTH(fds), TICK_MS);
        if (fds[1].revents != 0)
            take_signal(w);
        for (size_t i = 0; i < NVL_LENGTH(w->streams); i++) {
            take_stream(&w->streams[i]);
            fds[2 + i].fd = w->streams[i].from;
        }
        if (fds[0].revents != 0)
            end_as_worker(w);
        if (n == 0 && is_too_long(w))
            break;
    }
    leave_worker(w);
    return 1;
}

/* ---- both ---- */

static void become_worker(pid_t parent, const sigset_t *mask, const int ends[2], bool is_one_file)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(NVL_EXIT_FAILED);
    if (ends[0] >= 0)
        dup2(ends[0], STDOUT_FILENO);
    if (ends[1] >= 0)
        dup2(ends[1], STDERR_FILENO);
    else if (is_one_file && ends[0] >= 0)
        dup2(ends[0], STDERR_FILENO);
    nvl_close_callers();
    sigprocmask(SIG_SETMASK, mask, NULL);
}

/* Returns in the worker: 0. In the parent: 1 if another worker shall go on, or a negative errno. */
static int fork_worker(void)
{
    struct watch w = {.signals = -1, .pidfd = -1};
    bool is_one_file = is_same_file(STDOUT_FILENO, STDERR_FILENO);
    pid_t parent = getpid();
    sigset_t ending, before;

    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigprocmask(SIG_BLOCK, &ending, &before);
    nvl_autofd int out = open_stream(&w.streams[0], STDOUT_FILENO);
    w.streams[1] = (struct stream){.to = STDERR_FILENO, .from = -1};
    nvl_autofd int errors = is_one_file ? -1 : open_stream(&w.streams[1], STDERR_FILENO);
    w.signals = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
    w.worker = fork();
    if (w.worker == 0)
        become_worker(parent, &before, (const int[]){out, errors}, is_one_file);
    int r = w.worker < 0 ? -errno : 0;
    if (w.worker > 0) {
        close(TAKE_FD(out));
        close(TAKE_FD(errors));
        r = watch_worker(&w);
    }
    nvl_close_ptr(&w.pidfd);
    nvl_close_ptr(&w.signals);
    drop_stream(&w.streams[0]);
    drop_stream(&w.streams[1]);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}

static void begin_watching(void)
{
    int r;

    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        page = NULL;
        return;
    }
    fflush(stdout);
    do
        memset(page, 0, sizeof *page);
    while ((r = fork_worker()) > 0);
    if (r == 0)
        return;
    munmap(page, sizeof *page); /* no process to be had: as without a watch */
    page = NULL;
}

/* Killed, and still there: SIGKILL is pending. */
static bool is_left_behind(pid_t pid)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%d/status", (int)pid), *text = NULL;
    nvl_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    const char *line, *value;
    size_t len, pos = 0, line_len, value_len;

    if (fd < 0 || nvl_fd_read(fd, 64u << 10, &text, &len) < 0)
        return false;
    while (nvl_next_line(text, len, &pos, &line, &line_len))
        if (nvl_line_value(line, line_len, "ShdPnd", &value, &value_len))
            return (strtoull(value, NULL, 16) & (1ull << (SIGKILL - 1))) != 0;
    return false;
}

/* Another nvlxc may be at work there: only one that was left behind is a reason not to go. */
static bool is_held_up(const char *whom, int mark)
{
    if (mark < 0 || flock(mark, LOCK_EX | LOCK_NB) == 0)
        return false;
    pid_t pid = nvl_lock_holder(mark);
    if (pid <= 0 || !is_left_behind(pid))
        return false;
    nvl_autofree char *printable = nvl_make_printable(nvl_xstrdup(whom));
    dprintf(STDERR_FILENO,
            "nvlxc: warning: %s is left out: process %d of an earlier nvlxc still waits for its answer; look "
            "for what hangs there (a file system of FUSE or of a network, a driver)\n",
            printable, (int)pid);
    return true;
}

int nvl_visit_begin(const char *whom, int mark)
{
    nvl_autofd int own = mark;

    if (geteuid() != 0)
        return 0;
    if (page == NULL && !is_childs)
        begin_watching();
    if (nvl_strv_contains(&silent, whom))
        return -ETIMEDOUT;
    if (page == NULL)
        return 0;
    if (is_held_up(whom, mark)) {
        nvl_strv_push(&silent, whom);
        return -ETIMEDOUT;
    }
    if (page->depth < DEPTH_MAX) {
        nvl_copy(page->whom[page->depth], WHOM_MAX, whom, strlen(whom));
        marks[page->depth] = TAKE_FD(own);
    }
    page->seconds = NVL_VISIT_SECONDS;
    page->depth++;
    page->turns++;
    return 0;
}

void nvl_visit_may_take(unsigned seconds)
{
    if (page != NULL)
        page->seconds = seconds;
}

void nvl_visit_end(void)
{
    if (page == NULL || page->depth == 0)
        return;
    page->turns++;
    page->depth--;
    page->seconds = NVL_VISIT_SECONDS;
    if (page->depth < DEPTH_MAX)
        nvl_close_ptr(&marks[page->depth]);
}

void nvl_visit_writes(void)
{
    if (page != NULL)
        page->is_writing = true;
}

void nvl_visit_pauses(bool pauses)
{
    if (page == NULL)
        return;
    page->turns++;
    page->is_paused = pauses;
}

void nvl_visit_is_childs(void)
{
    is_childs = true;
    page = NULL;
}
