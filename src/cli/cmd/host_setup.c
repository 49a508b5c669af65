/* nvlxc host setup: shows the plan, asks once, has it carried out, and says what is left to do. */
#include "cli/ask.h"
#include "cli/cmd/host_setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "cli/progress.h"
#include "cli/ways.h"
#include "driver/installer_file.h"
#include "grant/grant.h"
#include "plan/diff.h"
#include "setup/run.h"
#include "setup/setup.h"

static json_t *json_step(const struct nvl_setup_step *step)
{
    json_t *commands = json_array(), *edits = json_array();

    for (size_t i = 0; i < step->n_commands; i++) {
        json_t *argv = json_array();
        for (size_t w = 0; w < step->commands[i].count; w++)
            json_array_append_new(argv, json_string(step->commands[i].items[w]));
        json_array_append_new(commands, argv);
    }
    for (size_t i = 0; i < step->n_edits; i++) {
        const struct nvl_edit *e = &step->edits[i];
        json_t *text = json_stringn(e->new_text, e->new_len); /* NULL if it is not UTF-8 */
        json_array_append_new(edits, json_pack("{s:s,s:b,s:o}", "path", e->path, "exists",
                                               (int)(e->old_text != NULL), "text",
                                               text != NULL ? text : json_null()));
    }
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:o}", "id", step->id, "title", step->title, "state",
                     nvl_setup_state_name(step->state), "reason", step->reason, "commands", commands, "edits",
                     edits);
}

static json_t *json_choice(const struct nvl_choice *c)
{
    static const char *const kinds[] = {
        [NVL_CHOICE_PACKAGE] = "debian", [NVL_CHOICE_ARCHIVE] = "nvidia", [NVL_CHOICE_RUN] = "run"};

    return json_pack("{s:s,s:o,s:o,s:o,s:o,s:b,s:o,s:o}", "kind", kinds[c->kind], "branch",
                     nvl_json_string(c->branch), "version", nvl_json_string(c->version), "series",
                     nvl_json_string(c->series), "flavour", nvl_json_string(nvl_flavour_name(c->flavour)),
                     "backports", (int)c->backports, "kernel", nvl_json_string(c->kernel), "source",
                     nvl_json_string(c->source));
}

static void print_setup_json(const struct nvl_setup_plan *plan)
{
    json_t *steps = json_array();

    for (size_t i = 0; i < plan->count; i++)
        json_array_append_new(steps, json_step(&plan->steps[i]));
    nvl_print_json(json_pack("{s:o,s:o,s:o,s:b}", "chosen",
                             nvl_choice_installs(&plan->choice) ? json_choice(&plan->choice) : json_null(),
                             "ways", nvl_json_driver_ways(&plan->ways), "plan", steps, "needs_reboot",
                             (int)plan->needs_reboot));
}

#define STEP_INDENT "     " /* of the text below a step's number and title */

static enum nvl_style style_of_step(enum nvl_setup_state state)
{
    static const enum nvl_style styles[] = {
        [NVL_SETUP_DONE] = NVL_GOOD,        [NVL_SETUP_PENDING] = NVL_CAREFUL,
        [NVL_SETUP_NOT_NEEDED] = NVL_FAINT, [NVL_SETUP_YOURS] = NVL_CAREFUL,
        [NVL_SETUP_IMPOSSIBLE] = NVL_WRONG,
    };

    return styles[state];
}

static void say_setup_commands(const struct nvl_context *ctx, const struct nvl_setup_step *step)
{
    for (size_t i = 0; i < step->n_commands; i++) {
        nvl_autofree char *text = nvl_setup_command_text(&step->commands[i]);
        nvl_say_styled(ctx, NVL_COMMAND, STEP_INDENT "# %s", text);
    }
}

static void say_edit(const struct nvl_context *ctx, const struct nvl_edit *edit)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf diff = {0};

    nvl_diff(&diff, edit->old_text != NULL ? edit->path : "/dev/null",
             edit->old_text != NULL ? edit->old_text : "", edit->old_len, edit->path, edit->new_text,
             edit->new_len);
    nvl_say_diff(ctx, STEP_INDENT "| ", diff.data != NULL ? diff.data : "");
}

/* Its reason, and exactly what it writes and runs. */
static void say_step(const struct nvl_context *ctx, size_t number, const struct nvl_setup_step *step)
{
    enum nvl_style style = style_of_step(step->state);
    nvl_autofree char *first = nvl_xasprintf("%2zu.  ", number),
                      *state = nvl_xasprintf("%s%s", nvl_mark(style), nvl_setup_state_name(step->state));
    const struct nvl_span spans[] = {
        {NVL_TITLE, step->title}, {NVL_PLAIN, ": "}, {style, state}, {NVL_PLAIN, NULL}};

    nvl_say_spans(ctx, (struct nvl_span){NVL_PLAIN, first}, spans, false);
    nvl_say_wrapped(ctx, STEP_INDENT, step->reason);
    for (size_t i = 0; i < step->n_edits; i++)
        say_edit(ctx, &step->edits[i]);
    say_setup_commands(ctx, step);
    if (step->installs)
        nvl_say_wrapped(ctx, STEP_INDENT,
                        "(tried with --simulate first; it does not run if it would remove a package)");
}

/* With --quiet, too, where it asks: nobody can agree to what is not shown. */
static void print_plan(const struct nvl_context *ctx, const struct nvl_setup_plan *plan)
{
    const struct nvl_context loud = {.root = ctx->root};
    const struct nvl_setup_step *driver = nvl_setup_find(plan, "driver");

    if (driver != NULL && driver->state != NVL_SETUP_DONE && driver->state != NVL_SETUP_NOT_NEEDED) {
        nvl_print_driver_ways(&loud, &plan->ways, true);
        nvl_say_fact(&loud, "", "(all of them: nvlxc host --drivers)");
        nvl_say(&loud, "%s", "");
    }
    for (size_t i = 0; i < plan->count; i++)
        say_step(&loud, i + 1, &plan->steps[i]);
}

/* An impossible step is itself the error: its number, why, and what is left. */
static int refuse_setup(const struct nvl_setup_plan *plan, const struct nvl_setup_step *step,
                        struct nvl_error *err)
{
    if (plan->choice.kind == NVL_CHOICE_NONE && strcmp(step->id, "driver") == 0) {
        nvl_error_host(err, -ENOTSUP, "%s", plan->choice.problem);
        nvl_error_hint(err, "%s", plan->choice.hint);
    } else {
        nvl_error_host(err, -ENOTSUP, "%s", step->reason);
        if (step->on_failure != NULL)
            nvl_error_hint(err, "%s", step->on_failure);
    }
    return -ENOTSUP;
}

static size_t count_todo(const struct nvl_setup_plan *plan)
{
    size_t n = 0;

    for (size_t i = 0; i < plan->count; i++)
        n += plan->steps[i].state == NVL_SETUP_PENDING;
    return n;
}

static int ask_to_go_on(size_t n_steps, struct nvl_error *err)
{
    if (!nvl_can_ask()) {
        nvl_error_set(err, -EINVAL, "host setup asks before it changes anything, but there is no terminal");
        nvl_error_hint(err, "--dry-run shows the plan, --yes carries it out");
        return -EINVAL;
    }
    if (nvl_ask(n_steps == 1 ? "\nCarry out this step?" : "\nCarry out these steps?") == NVL_ANSWER_YES)
        return 0;
    nvl_error_set(err, -ECANCELED, "nothing was changed");
    nvl_error_hint(err, "to start over: nvlxc host setup");
    return -ECANCELED;
}

static void say_line(void *data, const char *line)
{
    enum nvl_style style = line[0] == '['                           ? NVL_TITLE
                           : nvl_has_prefix(line, STEP_INDENT "# ") ? NVL_COMMAND
                                                                    : NVL_PLAIN;

    nvl_say_styled(data, style, "%s", line);
}

/* Says at the end what only a person can do. */
static void say_yours(const struct nvl_context *ctx, const struct nvl_setup_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct nvl_setup_step *step = &plan->steps[i];
        if (step->state != NVL_SETUP_YOURS)
            continue;
        nvl_autofree char *text = nvl_xasprintf("%s: %s", step->title, step->reason);
        nvl_say_spans(ctx, (struct nvl_span){NVL_CAREFUL, "for you to do: "},
                      (const struct nvl_span[]){{NVL_PLAIN, text}, {0}}, true);
        say_setup_commands(ctx, step);
    }
    nvl_say(ctx, plan->needs_reboot ? "after the reboot, 'nvlxc host' says whether all is well"
                                    : "'nvlxc host' says whether all is well");
}

/* Two setups at once would overwrite each other's files; the kernel releases the lock when this one ends. *fd
 * stays -1 without /run/lock: there is no other setup either. */
static int lock(int *fd, struct nvl_error *err)
{
    static const char lock_file[] = "/run/lock/nvlxc-setup.lock";

    *fd = open(lock_file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0 && errno == ENOENT)
        return 0;
    if (*fd >= 0 && flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (*fd >= 0 && errno == EWOULDBLOCK)
        return nvl_error_set(err, -EBUSY, "another host setup is running");
    int r = nvl_error_errno(err, -errno, "cannot lock %s", lock_file);
    nvl_error_hint(err, "if something else has that name, remove it\nrm -r %s", lock_file);
    return r;
}

static int carry_out(struct nvl_context *ctx, const struct nvl_setup_options *options,
                     const struct nvl_setup_request *request, const struct nvl_setup_plan *plan,
                     struct nvl_error *err)
{
    struct nvl_setup_run run = {
        .request = request, .quiet = ctx->quiet, .unasked = options->yes, .say = say_line, .data = ctx};
    nvl_auto(nvl_setup_plan_clear) struct nvl_setup_plan after = {0};

    if (!options->yes) {
        int r = ask_to_go_on(count_todo(plan), err);
        if (r < 0)
            return r;
    }
    nvl_autofd int fd = -1;
    int r = lock(&fd, err);
    if (r == 0)
        r = nvl_setup_carry_out(&ctx->root, plan, &run, err);
    if (r == 0)
        r = nvl_setup_plan_make(&ctx->root, request, &after, err);
    if (r < 0)
        return r;
    say_yours(ctx, &after);
    return NVL_EXIT_OK;
}

static int check_caller(const struct nvl_context *ctx, const struct nvl_setup_options *options,
                        struct nvl_error *err)
{
    if (options->dry_run)
        return options->yes ? nvl_error_usage(err, "host setup: --dry-run and --yes exclude each other") : 0;
    if (ctx->json)
        return nvl_error_usage(err, "host setup: --json works only with --dry-run");
    if (!nvl_root_is_machine(&ctx->root))
        return nvl_error_usage(err, "host setup: cannot set up a captured host; --dry-run shows its plan");
    if (geteuid() != 0) {
        nvl_error_host(err, -EPERM, "host setup must run as root: it installs packages");
        nvl_error_hint(err, "sudo nvlxc host setup\nfor the plan alone: nvlxc host setup --dry-run");
        return -EPERM;
    }
    return 0;
}

static int parse_wish(const struct nvl_setup_options *options, struct nvl_driver_wish *wish,
                      struct nvl_installer_file *installer, struct nvl_error *err)
{
    const char *from = options->from;

    if (options->run != NULL && from != NULL)
        return nvl_error_usage(err, "host setup: --run and --from exclude each other");
    if (options->run != NULL) {
        *wish = (struct nvl_driver_wish){.source = NVL_WISH_RUN, .installer = installer};
        return nvl_installer_file_read(options->run, installer, err);
    }
    if (from == NULL)
        return 0;
    if (strcmp(from, "nvidia") == 0)
        wish->source = NVL_WISH_ARCHIVE;
    else if (strcmp(from, "debian") == 0 || nvl_has_prefix(from, "tesla-") || nvl_has_prefix(from, "legacy-"))
        wish->source = NVL_WISH_DEBIAN;
    else
        return nvl_error_usage(err,
                               "host setup: --from takes debian, nvidia, or the name of Debian's older "
                               "drivers, such as tesla-535; not '%s'",
                               from);
    wish->series = wish->source == NVL_WISH_DEBIAN && strcmp(from, "debian") != 0 ? from : NULL;
    return 0;
}

int nvl_host_setup(struct nvl_context *ctx, const struct nvl_setup_options *options, struct nvl_error *err)
{
    nvl_auto(nvl_setup_plan_clear) struct nvl_setup_plan plan = {0};
    nvl_auto(nvl_installer_file_clear) struct nvl_installer_file installer = {0};
    struct nvl_setup_request request = {.capabilities = NVL_CAP_DEFAULT};

    int r = check_caller(ctx, options, err);
    if (r == 0 && options->capabilities != NULL)
        r = nvl_capabilities_parse(options->capabilities, &request.capabilities, err);
    if (r == 0)
        r = parse_wish(options, &request.wish, &installer, err);
    nvl_progress(ctx, "reads the host and apt's sources");
    if (r == 0)
        r = nvl_setup_plan_make(&ctx->root, &request, &plan, err);
    nvl_progress_end();
    if (r < 0)
        return r;
    if (ctx->json)
        print_setup_json(&plan);
    else if (!ctx->quiet || !options->yes)
        print_plan(ctx, &plan);
    const struct nvl_setup_step *impossible = nvl_setup_first(&plan, NVL_SETUP_IMPOSSIBLE);
    if (impossible != NULL)
        return refuse_setup(&plan, impossible, err);
    if (options->dry_run)
        return NVL_EXIT_OK;
    if (nvl_setup_first(&plan, NVL_SETUP_PENDING) == NULL) {
        nvl_say(ctx, "nothing to do");
        say_yours(ctx, &plan);
        return NVL_EXIT_OK;
    }
    return carry_out(ctx, options, &request, &plan, err);
}
