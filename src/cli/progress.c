/* Shows progress. What takes long may not report for a while, so a timer shows what was said too early. A
 * visit (base/visit.h) forks: the timer stays with the parent, while the child goes on, so they share the
 * line. */
#include "cli/progress.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/printable.h"
#include "cli/command.h"

#define FIRST_MS 1000
#define AGAIN_MS 100
#define TEXT_MAX 256

static const char clear_line[] = "\r\033[K";

static struct {
    bool is_known, is_terminal;
    size_t columns;
    bool is_running;
    uint64_t due; /* when the line may be written, in ms */
} progress;

/* What the signal's function reads. */
static struct shared_line {
    volatile sig_atomic_t len, is_shown;
    char text[TEXT_MAX];
} * line;

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool has_line(void)
{
    const char *term = getenv("TERM");
    struct winsize size;

    if (!progress.is_known) {
        progress.is_known = true;
        progress.is_terminal =
            term != NULL && strcmp(term, "dumb") != 0 && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
        progress.columns = progress.is_terminal && size.ws_col > 0 ? size.ws_col : 80;
    }
    return progress.is_terminal;
}

static void write_line(void)
{
    if (line->len == 0)
        return;
    (void)!write(STDERR_FILENO, line->text, (size_t)line->len);
    line->is_shown = 1;
}

static void on_alarm(int signal)
{
    int error = errno;

    (void)signal;
    write_line();
    errno = error;
}

static void set_timer(uint64_t ms)
{
    const struct itimerval timer = {.it_value = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)}};

    setitimer(ITIMER_REAL, &timer, NULL);
}

static bool begin_progress(void)
{
    const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};

    if (line == NULL)
        line = mmap(NULL, sizeof *line, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (line == MAP_FAILED) {
        line = NULL;
        return false;
    }
    sigaction(SIGALRM, &action, NULL);
    progress.is_running = true;
    progress.due = now_ms() + FIRST_MS;
    return true;
}

/* A line that is too long would be two, of which only the last is cleared. */
static void set_progress_line(const char *text)
{
    size_t room = TEXT_MAX - sizeof clear_line;

    line->len = 0;
    room = room < progress.columns - 1 ? room : progress.columns - 1;
    line->len = snprintf(line->text, sizeof line->text, "%s%.*s", clear_line, (int)room, text);
}

void nvl_progress(const struct nvl_context *ctx, const char *fmt, ...)
{
    va_list ap;

    if (ctx->quiet || ctx->json || !has_line())
        return;
    va_start(ap, fmt);
    nvl_autofree char *text = nvl_make_printable(nvl_xvasprintf(fmt, ap));
    va_end(ap);
    if (!progress.is_running && !begin_progress())
        return;
    set_progress_line(text);
    uint64_t now = now_ms();
    if (now < progress.due) {
        set_timer(progress.due - now);
        return;
    }
    write_line();
    progress.due = now + AGAIN_MS;
}

void nvl_progress_note(void *ctx, const char *what)
{
    nvl_progress(ctx, "%s", what);
}

void nvl_progress_end(void)
{
    if (!progress.is_running)
        return;
    set_timer(0);
    line->len = 0;
    progress.is_running = false;
    if (line->is_shown)
        (void)!write(STDERR_FILENO, clear_line, strlen(clear_line));
    line->is_shown = 0;
}
