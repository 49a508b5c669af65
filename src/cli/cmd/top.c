/* nvlxc top: how busy each GPU is, and by which programs, again and again. Each picture is made by a process
 * of its own, since a driver that hangs never answers; the one at the terminal only waits, for keys, signals
 * and the picture, none of them for ever, and so it always gives the terminal back. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/usage.h"

#define INTERVAL        "2"
#define PICTURE_SECONDS 60
#define PICTURE_MAX     (1u << 20)

struct top_values {
    const char *interval;
    bool once;
};

static const struct nvl_option top_options[] = {
    {"--interval", "SECONDS", "from one picture to the next", NVL_OPTION_STRING,
     offsetof(struct top_values, interval), .default_value = INTERVAL},
    {"--once", NULL, "print one picture, without keys", NVL_OPTION_FLAG, offsetof(struct top_values, once)},
    {0},
};

static int show_once(struct nvl_context *ctx, enum nvl_program_order order, struct nvl_error *err)
{
    nvl_auto(nvl_usage_clear) struct nvl_usage usage = {0};

    int r = nvl_usage_read(&ctx->root, &usage, err);
    if (r < 0)
        return r;
    if (ctx->json)
        return nvl_print_json(nvl_usage_json(&usage));
    if (!ctx->quiet)
        nvl_usage_print(ctx, &usage, order);
    return NVL_EXIT_OK;
}

/* ---- at a terminal ---- */

struct live {
    struct nvl_context *ctx;
    enum nvl_program_order order;
    int64_t interval, due, deadline; /* in ms; when the next picture begins, when this one must be there */
    pid_t painter;                   /* makes the next picture; 0: none does */
    int from;                        /* what it prints; -1 */
    struct nvl_buf coming, shown;
    int signals, signal; /* the descriptor, and the one that ends it; 0 */
    sigset_t mask;       /* before */
    struct termios before;
    bool has_keys, has_screen, is_over;
    int status;
};

static int64_t top_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

_Noreturn static void paint(struct live *l, int to, pid_t parent)
{
    struct nvl_error err = {0};

    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(NVL_EXIT_FAILED);
    dup2(to, STDOUT_FILENO);
    dup2(to, STDERR_FILENO);
    sigprocmask(SIG_SETMASK, &l->mask, NULL);
    int r = show_once(l->ctx, l->order, &err);
    if (r >= 0 && nvl_root_trouble(&l->ctx->root, &err) < 0)
        r = -EIO;
    fflush(stdout);
    if (r < 0)
        nvl_print_error(&err);
    fflush(stderr);
    _exit(r >= 0 ? r : err.exit != NVL_EXIT_OK ? (int)err.exit : NVL_EXIT_FAILED);
}

static int begin_picture(struct live *l, struct nvl_error *err)
{
    pid_t parent = getpid();
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return nvl_error_errno(err, -errno, "cannot make a pipe");
    fcntl(ends[1], F_SETFL, 0); /* the painter's end waits */
    l->painter = fork();
    if (l->painter == 0)
        paint(l, ends[1], parent);
    int r = l->painter < 0 ? -errno : 0;
    close(ends[1]);
    l->from = ends[0];
    l->deadline = top_now_ms() + PICTURE_SECONDS * 1000;
    l->due = top_now_ms() + l->interval;
    return r < 0 ? nvl_error_errno(err, r, "cannot start a process") : 0;
}

/* Ends the painter and gives its exit status. One that even SIGKILL does not end is left behind. */
static int end_painter(struct live *l, bool kills)
{
    int status = -1;

    if (l->from >= 0)
        close(l->from);
    l->from = -1;
    if (l->painter <= 0)
        return -1;
    if (kills)
        kill(l->painter, SIGKILL);
    for (int i = 0; i < 100 && waitpid(l->painter, &status, WNOHANG) == 0; i++)
        poll(NULL, 0, 10);
    l->painter = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The screen has the columns of a line, and no more; of escape sequences it takes those of styles. */
static void add_clipped(struct nvl_buf *out, const char *line, size_t len, size_t columns)
{
    size_t used = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)line[i];
        size_t style =
            c == '\033' && i + 1 < len && line[i + 1] == '[' ? strspn(line + i + 2, "0123456789;") : 0;
        if (style > 0 && i + 2 + style < len && line[i + 2 + style] == 'm') {
            nvl_buf_add(out, line + i, style + 3);
            i += style + 2;
            continue;
        }
        used += (c & 0xc0) != 0x80;
        if (used <= columns)
            nvl_buf_add(out, c < ' ' || c == 0x7f ? "?" : line + i, 1);
    }
}

static void draw(struct live *l)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf out = {0};
    nvl_autofree char *head =
        nvl_xasprintf("nvlxc top, every %lld s; q quits, m and p sort by memory and pid (now: %s)",
                      (long long)(l->interval / 1000), l->order == NVL_BY_PID ? "pid" : "memory");
    struct winsize size = {0};
    const char *line;
    size_t pos = 0, len;

    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    size_t rows = size.ws_row > 0 ? size.ws_row : 24, columns = size.ws_col > 0 ? size.ws_col : 80;
    nvl_buf_addf(&out, "%s\033[H\033[K", l->has_screen ? "" : "\033[?1049h\033[?25l");
    add_clipped(&out, head, strlen(head), columns);
    l->has_screen = true;
    for (size_t n = 1; n < rows && nvl_next_line(l->shown.data, l->shown.len, &pos, &line, &len); n++) {
        nvl_buf_addf(&out, "\n\033[K");
        add_clipped(&out, line, len, columns);
    }
    nvl_buf_addf(&out, "\033[m\033[J");
    nvl_fd_write(STDOUT_FILENO, out.data, out.len);
}

static void show_text(struct live *l)
{
    nvl_buf_clear(&l->shown);
    l->shown = l->coming;
    l->coming = (struct nvl_buf){0};
    nvl_buf_add(&l->shown, "", 0);
    draw(l);
}

/* The picture is there as a whole. A first one that fails is the command's failure. */
static void end_picture(struct live *l)
{
    int status = end_painter(l, false);

    if (!l->has_screen && status != NVL_EXIT_OK) {
        nvl_fd_write(STDERR_FILENO, l->coming.data, l->coming.len);
        l->status = status > 0 ? status : NVL_EXIT_FAILED;
        l->is_over = true;
        return;
    }
    show_text(l);
}

static void take_picture(struct live *l)
{
    char chunk[16384];
    ssize_t n;

    while ((n = read(l->from, chunk, sizeof chunk)) > 0)
        if (l->coming.len < PICTURE_MAX)
            nvl_buf_add(&l->coming, chunk, (size_t)n);
    if (n == 0)
        end_picture(l);
}

static void leave_picture(struct live *l)
{
    end_painter(l, true);
    nvl_buf_clear(&l->coming);
    nvl_buf_addf(&l->coming, "no answer within %d s\n", PICTURE_SECONDS);
    show_text(l);
}

/* Ctrl-C empties the terminal's input: it then wakes who waits for a key, before the signal is there. */
static void take_keys(struct live *l, short events)
{
    char keys[32];
    ssize_t n = read(STDIN_FILENO, keys, sizeof keys);

    l->is_over |= n < 0 && errno != EAGAIN && errno != EINTR;
    l->is_over |= n == 0 && (events & (POLLHUP | POLLERR | POLLNVAL)) != 0;
    for (ssize_t i = 0; i < n; i++) {
        l->is_over |= keys[i] == 'q';
        if (keys[i] != 'm' && keys[i] != 'p')
            continue;
        l->order = keys[i] == 'p' ? NVL_BY_PID : NVL_BY_MEMORY;
        l->due = 0; /* at once, or after the one that is being made */
    }
}

static void take_live_signal(struct live *l)
{
    struct signalfd_siginfo info;

    if (read(l->signals, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGWINCH) {
        if (l->has_screen)
            draw(l);
        return;
    }
    l->signal = (int)info.ssi_signo;
    l->is_over = true;
}

/* Waits for the next thing that happens. */
static int take_turn(struct live *l, struct nvl_error *err)
{
    int64_t now = top_now_ms();

    if (l->from < 0 && now >= l->due) {
        int r = begin_picture(l, err);
        if (r < 0)
            return r;
    }
    int64_t until = (l->from >= 0 ? l->deadline : l->due) - now;
    struct pollfd fds[] = {
        {l->signals, POLLIN, 0}, {l->from, POLLIN, 0}, {l->has_keys ? STDIN_FILENO : -1, POLLIN, 0}};
    poll(fds, NVL_LENGTH(fds), until > 0 ? (int)until : 0);
    if (fds[0].revents != 0)
        take_live_signal(l);
    if (fds[2].revents != 0)
        take_keys(l, fds[2].revents);
    if (fds[1].revents != 0 && !l->is_over)
        take_picture(l);
    else if (l->from >= 0 && top_now_ms() >= l->deadline)
        leave_picture(l);
    return 0;
}

static void open_terminal(struct live *l)
{
    sigset_t ending;

    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigaddset(&ending, SIGWINCH);
    sigprocmask(SIG_BLOCK, &ending, &l->mask);
    l->signals = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
    l->has_keys = tcgetattr(STDIN_FILENO, &l->before) == 0;
    if (!l->has_keys)
        return;
    struct termios keys = l->before;
    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    keys.c_iflag &= ~(tcflag_t)IXON; /* a held terminal would hold the program, too */
    keys.c_cc[VSUSP] = _POSIX_VDISABLE;
    keys.c_cc[VMIN] = 0;
    keys.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &keys);
}

/* Ends by the signal that ended it, if one did. */
static void close_terminal(struct live *l)
{
    static const char leave[] = "\033[?25h\033[?1049l";

    end_painter(l, true);
    if (l->has_screen)
        nvl_fd_write(STDOUT_FILENO, leave, sizeof leave - 1);
    if (l->has_keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &l->before);
    close(l->signals);
    nvl_buf_clear(&l->coming);
    nvl_buf_clear(&l->shown);
    if (l->signal != 0)
        raise(l->signal);
    sigprocmask(SIG_SETMASK, &l->mask, NULL);
}

static int run_live(struct nvl_context *ctx, int64_t interval, struct nvl_error *err)
{
    struct live l = {
        .ctx = ctx, .order = NVL_BY_MEMORY, .interval = interval * 1000, .from = -1, .status = NVL_EXIT_OK};
    int r = 0;

    fflush(stdout);
    open_terminal(&l);
    while (r == 0 && !l.is_over)
        r = take_turn(&l, err);
    close_terminal(&l);
    return r < 0 ? r : l.status;
}

static int run_top(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                   struct nvl_error *err)
{
    const struct top_values *values = data;
    const char *asked = values->interval != NULL ? values->interval : INTERVAL, *term = getenv("TERM");
    uint64_t interval;

    (void)arguments;
    if (nvl_parse_uint(asked, 10, 3600, &interval) < 0 || interval == 0)
        return nvl_error_usage(err, "--interval takes 1 to 3600 seconds, not '%s'", asked);
    bool is_live = !values->once && !ctx->json && !ctx->quiet && nvl_is_on_terminal() && term != NULL &&
                   strcmp(term, "dumb") != 0;
    return is_live ? run_live(ctx, (int64_t)interval, err) : show_once(ctx, NVL_BY_MEMORY, err);
}

static const struct nvl_example top_examples[] = {
    {"top", "how busy the GPUs are, and by which programs"},
    {"top --interval 10", "a new picture every ten seconds"},
    {"top --once", "one picture, for a file or a mail"},
    {"--json top | jq '.gpus[].readings'", "the same for a script"},
    {0},
};

const struct nvl_command nvl_cmd_top = {
    .name = "top",
    .arguments = "",
    .group = NVL_GROUP_WATCH,
    .summary = "show how busy the GPUs are, and by which programs",
    .details = "It shows each GPU's memory, use, encoder, decoder, power and temperature, and\n"
               "below them the programs of the host and of all containers, as ps does. \"-\"\n"
               "stands for what the GPU or its driver does not report. Where standard output is\n"
               "no terminal, and with --json, it prints one picture.\n"
               "\n"
               "q  quits\n"
               "m  sorts the programs by memory, the largest first\n"
               "p  sorts them by process number\n"
               "\n"
               "NVML opens the GPUs for each picture: without a persistence daemon, that\n"
               "initializes an idle GPU each time, which takes seconds.",
    .examples = top_examples,
    .options = top_options,
    .values_size = sizeof(struct top_values),
    .run = run_top,
};
