/* Carries the plan out. */
#include "setup/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/run.h"
#include "driver/package_names.h"

#define OUTPUT_MAX (16u << 20) /* bytes kept of one command's output */
#define EDIT_MAX   (1u << 20)  /* of a file that is replaced: no plan reads more */

#define AGAIN "again; it keeps what is done: nvlxc host setup"

struct runner {
    const struct nvl_root *root;
    const struct nvl_setup_run *run;
    int log;
};

static void say(const struct runner *r, const char *fmt, ...) NVL_PRINTF(2, 3);
static void say(const struct runner *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    nvl_autofree char *line = nvl_xvasprintf(fmt, ap);
    va_end(ap);
    r->run->say(r->run->data, line);
    if (r->log >= 0) {
        nvl_fd_write(r->log, line, strlen(line));
        nvl_fd_write(r->log, "\n", 1);
    }
}

/* A log that cannot be written is no reason not to set up a host. */
static int open_log(const struct nvl_root *root)
{
    const char *name;
    nvl_autofd int folder = nvl_root_open_parent(root, NVL_SETUP_LOG, &name);
    int fd = folder >= 0 ? openat(folder, name,
                                  O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0640)
                         : -1;
    char now[32];
    time_t t = time(NULL);
    struct tm tm;

    if (fd >= 0 && gmtime_r(&t, &tm) != NULL && strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
        dprintf(fd, "== nvlxc " NVL_VERSION " host setup, %s\n", now);
    return fd;
}

/* What the plan was made from is replaced, and nothing else: neither what somebody wrote meanwhile, nor what
 * the plan could not read and so took for absent. */
static int check_as_planned(const struct runner *r, const struct nvl_edit *edit, struct nvl_error *err)
{
    nvl_autofree char *text = NULL;
    size_t len;
    int done = nvl_root_read(r->root, edit->path, EDIT_MAX, &text, &len);
    bool is_as_planned = edit->old_text == NULL
                             ? done == -ENOENT
                             : done == 0 && len == edit->old_len && memcmp(text, edit->old_text, len) == 0;

    if (is_as_planned)
        return 0;
    if (done < 0)
        nvl_error_set(err, -EBUSY, "cannot read %s, so it is not replaced: %s", edit->path, strerror(-done));
    else
        nvl_error_set(err, -EBUSY, "%s is not as it was read, so it is not replaced", edit->path);
    nvl_error_hint(err, "look at what it is\n" AGAIN);
    return -EBUSY;
}

static int write_edit(const struct runner *r, const struct nvl_edit *edit, struct nvl_error *err)
{
    nvl_autofree char *real = NULL;
    const char *name;
    struct stat st;
    int done = check_as_planned(r, edit, err);

    if (done < 0)
        return done;
    if (edit->old_text != NULL) { /* a file that is a link stays one: its target is replaced */
        done = nvl_root_resolve(r->root, edit->path, &real);
    } else {
        nvl_autofree char *folder = nvl_xstrndup(edit->path, (size_t)(strrchr(edit->path, '/') - edit->path));
        nvl_root_make_folder(r->root, folder);
    }
    nvl_autofd int dirfd =
        done < 0 ? done : nvl_root_open_parent(r->root, real != NULL ? real : edit->path, &name);
    if (dirfd < 0)
        return nvl_error_errno(err, dirfd, "cannot write %s", edit->path);
    bool is_there = fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!is_there && errno != ENOENT)
        return nvl_error_errno(err, -errno, "cannot write %s", edit->path);
    done = nvl_file_replace(dirfd, name, edit->new_text, edit->new_len, is_there ? &st : NULL, err);
    if (done == 0)
        say(r, "     wrote %s", edit->path);
    return done;
}

/* The caller's environment, with what these commands need in it. */
static void make_command_environment(bool is_unasked, bool is_parsed, struct nvl_strv *environment)
{
    for (char **variable = environ; *variable != NULL; variable++)
        if (!nvl_has_prefix(*variable, "PATH=") &&
            !(is_unasked && nvl_has_prefix(*variable, "DEBIAN_FRONTEND=")) &&
            !(is_parsed && nvl_has_prefix(*variable, "LC_ALL=")))
            nvl_strv_push(environment, *variable);
    if (is_unasked)
        nvl_strv_push(environment, "DEBIAN_FRONTEND=noninteractive");
    if (is_parsed)
        nvl_strv_push(environment, "LC_ALL=C");
    /* `su` without a dash omits the folders of root's programs, which dpkg needs */
    nvl_strv_push(environment, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    *NVL_APPEND(environment->items, environment->count) = NULL;
}

static void log_output(void *data, const char *bytes, size_t len)
{
    const struct runner *r = data;

    if (r->log >= 0)
        nvl_fd_write(r->log, bytes, len);
}

static void show_output(void *data, const char *bytes, size_t len)
{
    fwrite(bytes, 1, len, stdout);
    fflush(stdout);
    log_output(data, bytes, len);
}

/* Runs a command with its output in the log, and either shown, if wanted, or kept for a program to read: then
 * the command asks nothing, and speaks English. */
static int run_logged(struct runner *r, const struct nvl_strv *command, bool is_parsed,
                      struct nvl_run_result *result)
{
    bool is_unasked = is_parsed || r->run->unasked;
    nvl_auto(nvl_strv_clear) struct nvl_strv environment = {0};
    nvl_autofree const char **argv = nvl_xcalloc(command->count + 1, sizeof *argv);

    for (size_t i = 0; i < command->count; i++)
        argv[i] = command->items[i];
    make_command_environment(is_unasked, is_parsed, &environment);
    const struct nvl_run run = {.argv = argv,
                                .environment = environment.items,
                                .input = is_unasked ? NVL_STREAM_NONE : NVL_STREAM_CALLERS,
                                .output = NVL_STREAM_TAKEN,
                                .errors = NVL_STREAM_TAKEN,
                                .max = is_parsed ? OUTPUT_MAX : 0,
                                .pass_on = is_parsed || r->run->quiet ? log_output : show_output,
                                .pass_on_data = r};
    return nvl_run(&run, result);
}

static bool next_field(const char **at, const char *end, const char **word, size_t *len)
{
    while (*at < end && **at == ' ')
        (*at)++;
    *word = *at;
    while (*at < end && **at != ' ')
        (*at)++;
    *len = (size_t)(*at - *word);
    return *len > 0;
}

/* What is in the line's parentheses up to a blank; NULL if it has none. */
static char *copy_version(const char *line, const char *end)
{
    const char *open = memchr(line, '(', (size_t)(end - line));

    if (open == NULL)
        return NULL;
    const char *last = ++open;
    while (last < end && *last != ' ' && *last != ')')
        last++;
    return nvl_xstrndup(open, (size_t)(last - open));
}

/* "Remv proxmox-ve [9.0.0]", "Inst nvidia-smi [535.1-1] (550.163.01-2 Debian:13/stable [amd64])" */
void nvl_simulation_parse(const char *text, size_t len, struct nvl_strv *removed, const char *package,
                          char **version)
{
    size_t pos = 0, line_len, verb_len, name_len;
    const char *line, *verb, *name;

    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        const char *at = line, *end = line + line_len;
        if (!next_field(&at, end, &verb, &verb_len) || verb_len != 4 ||
            !next_field(&at, end, &name, &name_len))
            continue;
        if (memcmp(verb, "Remv", 4) == 0 || memcmp(verb, "Purg", 4) == 0)
            nvl_strv_pushf(removed, "%.*s", (int)name_len, name);
        if (memcmp(verb, "Inst", 4) == 0 && version != NULL && *version == NULL &&
            name_len == strlen(package) && memcmp(name, package, name_len) == 0)
            *version = copy_version(line, end);
    }
}

/* Whether this version is of the chosen branch and archive: another archive in apt's sources, such as
 * NVIDIA's own, may have packages of the same names. */
static int check_debians(const struct nvl_choice *choice, const char *package, const char *version,
                         struct nvl_error *err)
{
    size_t len = strlen(choice->branch);

    if (strncmp(version, choice->branch, len) == 0 && version[len] == '.' &&
        (!choice->backports || strstr(version, "~bpo") != NULL))
        return 0;
    nvl_error_set(err, -EEXIST, "apt would install %s %s, but %s%s was chosen", package, version,
                  choice->branch, choice->backports ? " from backports" : "");
    nvl_error_hint(err,
                   "which archive it comes from: apt-cache policy %s\nremove that from apt's sources, or "
                   "install its driver by hand",
                   package);
    return -EEXIST;
}

/* What NVIDIA's archive has is known only now. */
static int check_nvidias(const struct runner *r, const struct nvl_choice *choice, const char *version,
                         struct nvl_error *err)
{
    nvl_autofree char *problem = NULL;
    int done = nvl_setup_misfit(r->root, version, choice->flavour, &problem, err);

    if (done < 0 || problem == NULL)
        return done;
    nvl_error_set(err, -ENOTSUP, "apt would install %s: %s", version, problem);
    nvl_error_hint(err, "the branches that the archive has: apt-cache search nvidia-driver-pinning\ninstall "
                        "the one that fits, then run host setup again");
    return -ENOTSUP;
}

static int refuse_removal(const struct nvl_strv *removed, struct nvl_error *err)
{
    nvl_autofree char *names = nvl_strv_join(removed, ", ");

    nvl_error_set(err, -EBUSY, "this would remove %s: nothing was installed", names);
    nvl_error_hint(
        err, "`apt-get --simulate` shows what is in conflict; NVIDIA's own installer needs no packages");
    return -EBUSY;
}

/* The dry run of apt that precedes each installation. */
static int simulate(struct runner *r, const struct nvl_choice *choice, const struct nvl_strv *command,
                    struct nvl_error *err)
{
    nvl_autofree char *dkms = choice->kind == NVL_CHOICE_ARCHIVE
                                  ? nvl_xstrdup(nvl_archive_module(NULL, choice->flavour))
                                  : nvl_debian_module(choice->flavour, choice->series);
    nvl_auto(nvl_strv_clear) struct nvl_strv argv = {0}, removed = {0};
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0};
    nvl_autofree char *version = NULL;

    /* without --no-remove, which would hide what is in the way */
    for (size_t i = 0; i < command->count; i++)
        if (strcmp(command->items[i], "--no-remove") != 0)
            nvl_strv_push(&argv, command->items[i]);
    nvl_strv_push(&argv, "--simulate");
    nvl_autofree char *text = nvl_setup_command_text(&argv);
    say(r, "     # %s", text);
    int done = run_logged(r, &argv, true, &result);
    if (done < 0)
        return nvl_error_errno(err, done, "cannot run %s", text);
    if (result.status != 0) {
        const char *why = strstr(result.text, "E: ");
        return nvl_error_set(err, -EIO, "apt cannot install it: %.*s",
                             why != NULL ? (int)strcspn(why + 3, "\n") : 18,
                             why != NULL ? why + 3 : "it gives no reason");
    }
    nvl_simulation_parse(result.text, result.len, &removed, dkms, &version);
    if (removed.count > 0)
        return refuse_removal(&removed, err);
    if (version != NULL && choice->kind == NVL_CHOICE_PACKAGE)
        return check_debians(choice, dkms, version, err);
    if (version != NULL && choice->kind == NVL_CHOICE_ARCHIVE)
        return check_nvidias(r, choice, version, err);
    return 0;
}

static int run_command(struct runner *r, const struct nvl_strv *argv, struct nvl_error *err)
{
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0};
    nvl_autofree char *text = nvl_setup_command_text(argv);

    say(r, "     # %s", text);
    int done = run_logged(r, argv, false, &result);
    if (done < 0)
        return nvl_error_errno(err, done, "cannot run %s", text);
    if (result.status != 0)
        return nvl_error_set(err, -EIO, "%s ended with status %d", argv->items[0],
                             nvl_exit_status(result.status));
    return 0;
}

static int run_step(struct runner *r, const struct nvl_setup_plan *plan, const struct nvl_setup_step *step,
                    struct nvl_error *err)
{
    int done = 0;

    for (size_t i = 0; i < step->n_edits && done == 0; i++)
        done = write_edit(r, &step->edits[i], err);
    if (done == 0 && step->installs)
        done = simulate(r, &plan->choice, &step->commands[0], err);
    for (size_t i = 0; i < step->n_commands && done == 0; i++)
        done = run_command(r, &step->commands[i], err);
    return done;
}

/* What went wrong, in which step, and what to do: the step's own advice if the failure has none. */
static int fail(const struct runner *r, const struct nvl_setup_step *step, size_t number,
                struct nvl_error *err)
{
    int code = nvl_error_prefix(err, "step %zu (%s)", number, step->id);

    if (err != NULL && err->hint[0] == '\0') {
        nvl_error_hint(err, "%s\nthe log is " NVL_SETUP_LOG "\n" AGAIN,
                       step->on_failure != NULL ? step->on_failure : "fix what it reports");
    }
    if (err != NULL && r->log >= 0)
        dprintf(r->log, "failed: %s; %s\n", err->message, err->hint);
    return code;
}

/* The step as it is now: an earlier one may have done it, or made its commands more exact. */
static int run_as_it_is_now(struct runner *r, const struct nvl_setup_step *shown, size_t number, size_t count,
                            struct nvl_error *err)
{
    nvl_auto(nvl_setup_plan_clear) struct nvl_setup_plan now = {0}, after = {0};

    int done = nvl_setup_plan_make(r->root, r->run->request, &now, err);
    if (done < 0)
        return done;
    const struct nvl_setup_step *step = nvl_setup_find(&now, shown->id);
    if (step == NULL || step->state != NVL_SETUP_PENDING) {
        say(r, "[%zu/%zu] %s: %s", number, count, shown->title,
            step != NULL ? nvl_setup_state_name(step->state) : "done");
        return 0;
    }
    say(r, "[%zu/%zu] %s", number, count, step->title);
    done = run_step(r, &now, step, err);
    if (done < 0)
        return fail(r, step, number, err);
    if (step->leaves_no_trace)
        return 0;
    done = nvl_setup_plan_make(r->root, r->run->request, &after, err);
    const struct nvl_setup_step *result = done == 0 ? nvl_setup_find(&after, shown->id) : NULL;
    if (result != NULL && result->state == NVL_SETUP_PENDING) {
        nvl_error_set(err, -EIO, "the step ran without effect: %s", result->reason);
        return fail(r, step, number, err);
    }
    return done;
}

int nvl_setup_carry_out(const struct nvl_root *root, const struct nvl_setup_plan *plan,
                        const struct nvl_setup_run *run, struct nvl_error *err)
{
    nvl_autofd int log = open_log(root);
    struct runner r = {root, run, log};

    for (size_t i = 0; i < plan->count; i++) {
        if (plan->steps[i].state != NVL_SETUP_PENDING)
            continue;
        int done = run_as_it_is_now(&r, &plan->steps[i], i + 1, plan->count, err);
        if (done < 0)
            return done;
    }
    return 0;
}
