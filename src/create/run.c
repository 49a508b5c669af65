/* Runs the steps of a `create`. */
#include "create/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/printable.h"
#include "base/root.h"
#include "base/run.h"
#include "create/paths.h"
#include "create/record.h"

#define OUTPUT_MAX    (1u << 20) /* bytes kept of one step's output */
#define TAIL_LINES    12         /* of them that an error shows */
#define CHECK_SECONDS 60
#define CREATE_LOCK   "/run/nvlxc/create.lock"
#define CONFIG_MAX    (1u << 20)
#define TIMED_OUT     124 /* timeout(1)'s status */

struct creating {
    const struct nvl_root *root;
    const struct nvl_create_run *run;
    int log;
};

/* ---- whose the container is ---- */

/* Proxmox has only the lock in a config whose CT it is about to make. */
static bool is_only_locked(const char *text)
{
    return strspn(text, " \t\n") == strlen(text) ||
           (nvl_has_prefix(text, "lock: create\n") && text[strlen("lock: create\n")] == '\0');
}

/* 1: it is not there, or has create's mark; 0: it is somebody else's. */
static int is_creates(const struct nvl_root *root, bool is_lxc, const char *container,
                      const char *config_path, struct nvl_error *err)
{
    nvl_autofree char *folder = nvl_xasprintf("/var/lib/lxc/%s", container);
    nvl_autofree char *mark = nvl_xasprintf("%s/" NVL_CREATE_MARK_FILE, folder), *text = NULL;
    struct stat st;
    size_t len;

    if (is_lxc) {
        nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
        int r = nvl_root_list(root, folder, &names);
        if (r == -ENOENT || (r == 0 && names.count == 0)) /* it was killed before it set the mark */
            return 1;
        return r < 0 ? nvl_error_errno(err, r, "cannot look at %s", folder)
                     : nvl_root_stat(root, mark, AT_SYMLINK_NOFOLLOW, &st) == 0;
    }
    int r = nvl_root_read(root, config_path, CONFIG_MAX, &text, &len);
    if (r == -ENOENT)
        return 1;
    if (r < 0)
        return nvl_error_errno(err, r, "cannot read %s", config_path);
    return is_only_locked(text) || strstr(text, "#" NVL_CREATE_MARK "\n") != NULL;
}

static int refuse_others(const char *container, struct nvl_error *err)
{
    nvl_error_set(err, -EEXIST,
                  "the container %s is there already, and `nvlxc create` has nothing to do there", container);
    nvl_error_hint(err, "take another number or name\nto give it a GPU: nvlxc attach %s", container);
    return -EEXIST;
}

/* 0, or -EEXIST. */
static int check_name_is_free(const struct nvl_root *root, const struct nvl_create_plan *plan,
                              struct nvl_error *err)
{
    nvl_autofree char *folder = nvl_xasprintf("/var/lib/lxc/%s", plan->container);
    struct stat st;

    int r = nvl_root_stat(root, plan->is_lxc ? folder : plan->config_path, AT_SYMLINK_NOFOLLOW, &st);
    if (r == -ENOENT)
        return 0;
    return r < 0 ? nvl_error_errno(err, r, "cannot look for the container %s", plan->container)
                 : refuse_others(plan->container, err);
}

int nvl_create_is_begun(const struct nvl_root *root, const struct nvl_create_plan *plan,
                        struct nvl_error *err)
{
    nvl_auto(nvl_create_record_clear) struct nvl_create_record record = {0};

    int r = nvl_create_record_read(root, plan->container, &record, err);
    if (r == -ENOENT)
        return check_name_is_free(root, plan, err);
    if (r < 0)
        return r;
    r = is_creates(root, plan->is_lxc, plan->container, plan->config_path, err);
    if (r == 0 && record.count > 0 && record.steps[record.count - 1].done != NVL_DONE_NOT) {
        /* it ended behind its last step: only the record was left */
        r = nvl_create_record_remove(root, plan->container, err);
        return r < 0 ? r : refuse_others(plan->container, err);
    }
    if (r == 0)
        return refuse_others(plan->container, err);
    if (r < 0 || nvl_create_record_is(&record, plan))
        return r;
    nvl_error_set(err, -EBUSY,
                  "the container %s was begun from the template %s with other values, and is not done",
                  plan->container, record.template);
    nvl_error_hint(err,
                   "go on with the command that began it, or remove what it made:\nnvlxc create --undo %s",
                   plan->container);
    return -EBUSY;
}

/* ---- commands ---- */

static void report_line(const struct creating *c, const char *fmt, ...) NVL_PRINTF(2, 3);
static void report_line(const struct creating *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    nvl_autofree char *line = nvl_xvasprintf(fmt, ap);
    va_end(ap);
    c->run->say(c->run->data, line);
    if (c->log >= 0)
        dprintf(c->log, "%s\n", line);
}

/* A log that cannot be written is no reason not to make a container. */
static int open_create_log(const struct nvl_root *root, const char *what)
{
    const char *name;
    nvl_autofd int folder = nvl_root_open_parent(root, NVL_CREATE_LOG, &name);
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    int fd = folder >= 0 ? openat(folder, name, flags, 0640) : -1;
    char now[32];
    time_t t = time(NULL);
    struct tm tm;

    if (fd >= 0 && gmtime_r(&t, &tm) != NULL && strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
        dprintf(fd, "== nvlxc " NVL_VERSION " create %s, %s\n", what, now);
    return fd;
}

/* This program comes first, so that `nvlxc` in a step is it. */
static void make_step_environment(struct nvl_strv *environment)
{
    nvl_autofree char *program = nvl_xcalloc(PATH_MAX, 1);
    ssize_t n = readlink("/proc/self/exe", program, PATH_MAX - 1);
    char *slash = n > 0 ? strrchr(program, '/') : NULL;

    if (slash != NULL)
        *slash = '\0';
    nvl_strv_pushf(environment, "PATH=%s%s/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                   slash != NULL ? program : "", slash != NULL ? ":" : "");
    nvl_strv_push(environment, "LC_ALL=C.UTF-8");
    nvl_strv_push(environment, "HOME=/root");
    for (char **variable = environ; *variable != NULL; variable++)
        if (nvl_has_prefix(*variable, "TERM=") || strstr(*variable, "_proxy=") != NULL)
            nvl_strv_push(environment, *variable);
    *NVL_APPEND(environment->items, environment->count) = NULL;
}

static void log_step_output(void *data, const char *bytes, size_t len)
{
    const struct creating *c = data;

    if (c->log >= 0)
        nvl_fd_write(c->log, bytes, len);
}

static void show_step_output(void *data, const char *bytes, size_t len)
{
    fwrite(bytes, 1, len, stdout);
    fflush(stdout);
    log_step_output(data, bytes, len);
}

/* The exit status, or a negative errno. It stays in the terminal's foreground, so that an interrupt from
 * there ends all of it, also what runs in the container. */
static int run_line(struct creating *c, const char *line, unsigned seconds, bool is_shown,
                    struct nvl_run_result *result)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv environment = {0};
    nvl_autofree char *both = nvl_xasprintf("exec 2>&1; %s", line), *limit = nvl_xasprintf("%u", seconds);
    const char *const argv[] = {"timeout", "--foreground", limit, "/bin/sh", "-c", both, NULL};

    make_step_environment(&environment);
    const struct nvl_run run = {.argv = argv,
                                .environment = environment.items,
                                .input = NVL_STREAM_NONE,
                                .output = NVL_STREAM_TAKEN,
                                .errors = NVL_STREAM_TAKEN,
                                .max = OUTPUT_MAX,
                                .pass_on = is_shown && !c->run->quiet ? show_step_output : log_step_output,
                                .pass_on_data = c};
    int r = nvl_run(&run, result);
    if (r < 0)
        return r;
    int status = nvl_exit_status(result->status);
    return status == TIMED_OUT ? -ETIMEDOUT : status;
}

/* The last lines of what it printed, as a list below an error: indented, since a container may have written
 * them, and none may look like advice. */
static char *last_lines(const char *text, size_t len)
{
    size_t lines = 0, at = len;
    struct nvl_buf out = {0};

    while (at > 0 && text[at - 1] == '\n')
        at--;
    size_t end = at;
    while (at > 0 && lines < TAIL_LINES)
        lines += text[--at] == '\n';
    at += lines == TAIL_LINES;
    while (at < end) {
        const char *newline = memchr(text + at, '\n', end - at);
        size_t n = newline != NULL ? (size_t)(newline - text) - at : end - at;
        nvl_buf_addf(&out, "\n  %.*s", (int)n, text + at);
        at += n + 1;
    }
    return nvl_make_printable(nvl_buf_take(&out));
}

/* `result`: NULL if the user has seen what it printed. */
static int fail_step(const char *title, int status, unsigned seconds, const struct nvl_run_result *result,
                     struct nvl_error *err)
{
    bool has_text = result != NULL && result->text != NULL;
    nvl_autofree char *lines = last_lines(has_text ? result->text : "", has_text ? result->len : 0);

    if (status == -ETIMEDOUT)
        return nvl_error_set(err, -ETIMEDOUT, "cannot %s: it was not done after %u s", title, seconds);
    if (status < 0)
        return nvl_error_errno(err, status, "cannot %s", title);
    nvl_error_set(err, -EIO, "cannot %s: it ended with status %d%s%s", title, status,
                  lines[0] != '\0' ? ":" : "", lines);
    return -EIO;
}

static int write_step_file(const struct creating *c, const struct nvl_create_step *step,
                           struct nvl_error *err)
{
    const char *name;
    nvl_autofd int folder = nvl_root_open_parent(c->root, step->file, &name);

    if (folder < 0)
        return nvl_error_errno(err, folder, "cannot write %s", step->file);
    return nvl_file_replace(folder, name, step->text, strlen(step->text), NULL, err);
}

/* ---- going on ---- */

static int note_done(struct creating *c, struct nvl_create_record *record, size_t i, enum nvl_done done,
                     struct nvl_error *err)
{
    record->steps[i].done = done;
    return nvl_create_record_write(c->root, record, err);
}

/* What a killed run left of a step that cannot simply be run again. */
static int clear_half_done(struct creating *c, const struct nvl_recorded_step *step, struct nvl_error *err)
{
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0};

    if (step->done != NVL_DONE_BEGUN || strcmp(step->id, "create") != 0 || step->undo == NULL)
        return 0;
    int status = run_line(c, step->undo, CHECK_SECONDS * 10, false, &result);
    return status == 0 ? 0
                       : fail_step("remove what an earlier run left half made", status, CHECK_SECONDS * 10,
                                   &result, err);
}

static bool is_done_before(struct creating *c, const struct nvl_create_step *step)
{
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0};

    return step->check != NULL && run_line(c, step->check, CHECK_SECONDS, false, &result) == 0;
}

static int run_create_step(struct creating *c, const struct nvl_create_step *step, struct nvl_error *err)
{
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0};

    if (step->command == NULL)
        return write_step_file(c, step, err);
    int status = run_line(c, step->command, step->seconds, step->is_shown, &result);
    bool is_seen = step->is_shown && !c->run->quiet;
    return status == 0 ? 0 : fail_step(step->title, status, step->seconds, is_seen ? NULL : &result, err);
}

static int go_on_with(struct creating *c, const struct nvl_create_plan *plan, size_t i,
                      struct nvl_create_record *record, struct nvl_error *err)
{
    const struct nvl_create_step *step = &plan->steps[i];
    enum nvl_done done = record->steps[i].done;

    /* a container that was begun may have been stopped meanwhile */
    bool is_state = step->check != NULL && done == NVL_DONE && strcmp(step->id, "start") == 0;
    if ((done == NVL_DONE || done == NVL_DONE_BEFORE) && !is_state) {
        report_line(c, "[%zu/%zu] %s: done", i + 1, plan->count, step->title);
        return 0;
    }
    nvl_autofree char *now = nvl_xasprintf("[%zu/%zu] %s", i + 1, plan->count, step->title);
    c->run->step(c->run->data, now);
    if (is_done_before(c, step)) {
        report_line(c, "%s: done before", now);
        return is_state ? 0
                        : note_done(c, record, i, done == NVL_DONE_BEGUN ? NVL_DONE : NVL_DONE_BEFORE, err);
    }
    int r = clear_half_done(c, &record->steps[i], err);
    if (r == 0)
        r = note_done(c, record, i, NVL_DONE_BEGUN, err);
    if (r == 0) {
        report_line(c, "%s", now);
        if (step->detail != NULL)
            report_line(c, "      %s", step->detail);
        r = run_create_step(c, step, err);
    }
    return r < 0 ? r : note_done(c, record, i, NVL_DONE, err);
}

static int lock_create(const struct nvl_root *root, struct nvl_error *err)
{
    nvl_autofd int fd = nvl_root_open_lock(root, CREATE_LOCK);

    if (fd < 0)
        return nvl_error_errno(err, fd, "cannot open " CREATE_LOCK);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return nvl_error_set(err, -EBUSY, "another nvlxc create is running");
    return TAKE_FD(fd);
}

/* The caller's hint stays, if it has one. */
static int tell_how_to_go_on(const char *container, struct nvl_error *err)
{
    int code = err != NULL ? err->code : -EIO;

    if (err != NULL && err->hint[0] == '\0')
        nvl_error_hint(err,
                       "what it printed is in " NVL_CREATE_LOG
                       "\nthe same command again goes on behind what is "
                       "done; to remove what was made:\nnvlxc create --undo %s",
                       container);
    return code;
}

int nvl_create_carry_out(const struct nvl_root *root, const struct nvl_create_plan *plan,
                         const struct nvl_create_run *run, struct nvl_error *err)
{
    nvl_auto(nvl_create_record_clear) struct nvl_create_record record = {0};
    nvl_autofd int lock = lock_create(root, err);

    if (lock < 0)
        return lock;
    int r = nvl_create_is_begun(root, plan, err);
    if (r < 0)
        return r;
    if (r == 0)
        nvl_create_record_begin(plan, &record);
    else if ((r = nvl_create_record_read(root, plan->container, &record, err)) < 0)
        return r;
    nvl_autofd int log = open_create_log(root, plan->container);
    struct creating c = {root, run, log};
    r = 0;
    for (size_t i = 0; i < plan->count && r == 0; i++)
        r = go_on_with(&c, plan, i, &record, err);
    if (r < 0)
        return tell_how_to_go_on(plan->container, err);
    return nvl_create_record_remove(root, plan->container, err);
}

/* ---- back ---- */

static int undo_step(struct creating *c, const struct nvl_recorded_step *step, struct nvl_error *err)
{
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0};

    if (step->undo == NULL || step->done == NVL_DONE_NOT || step->done == NVL_DONE_BEFORE)
        return 0;
    report_line(c, "%s", step->undo);
    int status = run_line(c, step->undo, CHECK_SECONDS * 10, false, &result);
    nvl_autofree char *title = nvl_xasprintf("undo the step '%s'", step->id);
    return status == 0 ? 0 : fail_step(title, status, CHECK_SECONDS * 10, &result, err);
}

int nvl_create_undo(const struct nvl_root *root, const char *container, const struct nvl_create_run *run,
                    struct nvl_error *err)
{
    nvl_auto(nvl_create_record_clear) struct nvl_create_record record = {0};
    nvl_autofd int lock = lock_create(root, err);

    if (lock < 0)
        return lock;
    int r = nvl_create_record_read(root, container, &record, err);
    if (r == -ENOENT) {
        nvl_error_set(err, -ENOENT, "nvlxc create has nothing unfinished of the name '%.100s'", container);
        nvl_error_hint(err, "a container that is finished is removed like any other, by Proxmox or by LXC");
    }
    if (r < 0)
        return r;
    r = is_creates(root, record.is_lxc, container, record.config_path, err);
    if (r == 0) {
        nvl_error_set(err, -EEXIST,
                      "the container %s is not the one that nvlxc create began: nothing is removed",
                      container);
        nvl_error_hint(err, "rm " NVL_CREATE_DIR "/%s.json   # if it can be forgotten", container);
        return -EEXIST;
    }
    if (r < 0)
        return r;
    nvl_autofd int log = open_create_log(root, container);
    struct creating c = {root, run, log};
    r = 0;
    for (size_t i = record.count; i-- > 0 && r == 0;) {
        r = undo_step(&c, &record.steps[i], err);
        if (r == 0 && record.steps[i].done != NVL_DONE_NOT)
            r = note_done(&c, &record, i, NVL_DONE_NOT, err);
    }
    return r < 0 ? r : nvl_create_record_remove(root, container, err);
}

char *nvl_create_unfinished(const struct nvl_root *root, const char *template)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    char *found = NULL;

    nvl_root_list(root, NVL_CREATE_DIR, &names);
    for (size_t i = 0; i < names.count; i++) {
        nvl_auto(nvl_create_record_clear) struct nvl_create_record record = {0};
        if (!nvl_has_suffix(names.items[i], ".json"))
            continue;
        nvl_autofree char *name = nvl_xstrndup(names.items[i], strlen(names.items[i]) - strlen(".json"));
        if (nvl_create_record_read(root, name, &record, NULL) < 0 || strcmp(record.template, template) != 0)
            continue;
        bool is_second = found != NULL;
        free(found);
        found = is_second ? NULL : nvl_xstrdup(name);
        if (is_second)
            break;
    }
    return found;
}
