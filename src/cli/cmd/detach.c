/* nvlxc detach: removes a container's grant from its config, and nvlxc's files from its root file system. */
#include <errno.h>
#include <stdio.h>

#include "plan/diff.h"
#include "plan/tags.h"
#include "base/printable.h"
#include "cli/command.h"
#include "container/owned_lines.h"
#include "cli/live_step.h"
#include "container/target.h"
#include "apply/clean.h"
#include "apply/commit.h"

struct detach_values {
    bool live, dry_run;
};

static const struct nvl_option detach_options[] = {
    {"--live", NULL, "change the running container now, without a restart", NVL_OPTION_FLAG,
     offsetof(struct detach_values, live)},
    {"--dry-run", NULL, "show what would change, without changing it", NVL_OPTION_FLAG,
     offsetof(struct detach_values, dry_run)},
    {0},
};

struct detach {
    struct nvl_target target;
    struct nvl_plan plan;
    struct nvl_cleaned cleaned;
    struct nvl_strv warnings;
    struct nvl_live_step live;
};

static void detach_clear(struct detach *d)
{
    nvl_live_step_clear(&d->live);
    nvl_strv_clear(&d->warnings);
    nvl_cleaned_clear(&d->cleaned);
    nvl_plan_clear(&d->plan);
    nvl_target_close(&d->target);
}

static void print_detach_json(const struct detach *d, bool dry_run)
{
    nvl_autofree char *diff =
        dry_run ? nvl_plan_diff(d->target.container, &d->target.config, &d->plan) : NULL;

    nvl_print_json(json_pack(
        "{s:o,s:b,s:b,s:o,s:o,s:o,s:o,s:o,s:o}", "container", nvl_json_text(d->target.name), "dry_run",
        (int)dry_run, "changed", (int)d->plan.changes, "diff", dry_run ? nvl_json_text(diff) : json_null(),
        "removed", nvl_json_strings(&d->cleaned.removed), "remaining",
        nvl_json_strings(&d->cleaned.remaining), "why", nvl_json_string(d->cleaned.why), "live",
        nvl_live_step_json(&d->live), "warnings", nvl_json_strings(&d->warnings)));
}

static void say_config(const struct nvl_context *ctx, const struct detach *d, bool dry_run)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) by_hand = {0};

    nvl_effective_by_hand(&d->target.effective, &by_hand);
    if (!d->plan.changes && by_hand.count > 0) {
        nvl_say_fact(ctx, "",
                     "%s has no GPU from nvlxc; nothing to change: its lines about NVIDIA were written by "
                     "hand and stay (`nvlxc show %s` lists them)",
                     d->target.name, d->target.word);
    } else if (!d->plan.changes) {
        nvl_say(ctx, "%s has no GPU; nothing to change", d->target.name);
    } else if (dry_run) {
        nvl_autofree char *diff = nvl_plan_diff(d->target.container, &d->target.config, &d->plan);
        nvl_say_diff(ctx, "", diff);
    } else {
        nvl_say(ctx, "%s: its config no longer grants a GPU", d->target.name);
        if (!d->live.asked_for && nvl_container_is_running(&ctx->root, d->target.container)) {
            nvl_autofree char *restart = nvl_container_restart(d->target.container);
            nvl_say_fact(ctx, "",
                         "the container is running and keeps its GPU until it stops or restarts: %s; or run "
                         "this again with --live",
                         restart);
        }
    }
}

/* Without a grant, files that are only possibly there are not worth a line. */
static void say_cleaned(const struct nvl_context *ctx, const struct detach *d, bool dry_run)
{
    const struct nvl_cleaned *cleaned = &d->cleaned;
    nvl_autofree char *removed = nvl_strv_join(&cleaned->removed, ", ");
    nvl_autofree char *remaining = nvl_strv_join(&cleaned->remaining, ", ");
    nvl_autofree char *start = nvl_container_start(d->target.container);
    nvl_autofree char *later = nvl_xasprintf("%s && nvlxc detach %s --live", start, d->target.word);

    if (cleaned->removed.count > 0)
        nvl_say_fact(ctx, "", "%s from its root file system: %s", dry_run ? "would remove" : "removed",
                     removed);
    if (cleaned->not_mounted && !d->plan.changes)
        nvl_say_fact(ctx, "",
                     "its root file system is on a storage and was not looked at; if an earlier detach left "
                     "files there: %s",
                     later);
    if (cleaned->remaining.count == 0 || (cleaned->unreachable && !d->plan.changes))
        return;
    nvl_say_fact(ctx, "", "%s in its root file system: %s (%s)",
                 cleaned->unreachable ? "may remain" : "remains", remaining, cleaned->why);
    if (cleaned->failed && cleaned->unreachable && d->target.container->kind == NVL_CONTAINER_PVE)
        nvl_say_fact(ctx, "", "once it starts again, remove them with: %s", later);
    if (cleaned->running && !dry_run)
        nvl_say_fact(ctx, "", "after it stops, run `nvlxc detach %s` again to remove them", d->target.word);
}

/* Under --json what is said before the end becomes a warning. */
static void say_before(const struct nvl_context *ctx, struct detach *d, bool is_warning, const char *text)
{
    if (ctx->json)
        nvl_strv_push(&d->warnings, text);
    else if (is_warning)
        nvl_warn("%s", text);
    else
        nvl_say_fact(ctx, "", "%s", text);
}

/* Before `pct mount` runs: what else it does to the file, which is then no longer the old one byte for byte.
 */
static void say_pct(const struct nvl_context *ctx, struct detach *d, bool dry_run)
{
    const struct nvl_config *config = &d->target.config;
    const char *ctid = d->target.container->name;
    nvl_autofree char *text =
        nvl_xasprintf("%s: %s `pct mount %s`, then `pct unmount %s`, to clean its root file system on its "
                      "storage; with that "
                      "Proxmox writes the config in its own form: notes on top, keys sorted, lines that it "
                      "cannot read lost",
                      d->target.name, dry_run ? "detach would run" : "running", ctid, ctid);

    say_before(ctx, d, false, text);
    fflush(stdout);
    for (size_t i = 0; i < config->n_lines; i++) {
        const char *line = config->text + config->lines[i].start;
        if (config->lines[i].kind != NVL_LINE_UNKNOWN)
            continue;
        nvl_autofree char *lost = nvl_xasprintf(
            "Proxmox cannot read line %zu of %s, and %s it: %.*s", i + 1, d->target.container->config_path,
            dry_run ? "would lose" : "loses", (int)strcspn(line, "\r\n"), line);
        say_before(ctx, d, true, lost);
    }
}

static int clean_stopped(const struct nvl_context *ctx, struct detach *d, bool dry_run, struct nvl_error *err)
{
    const struct nvl_target *t = &d->target;
    enum nvl_clean_how how = dry_run ? NVL_CLEAN_DRY : d->plan.changes ? NVL_CLEAN_ALL : NVL_CLEAN_FOLDER;

    if (d->plan.changes && nvl_clean_takes_pct(&ctx->root, t->container, &t->effective))
        say_pct(ctx, d, dry_run);
    return nvl_clean_rootfs(&ctx->root, t->container, &t->effective, how, &d->cleaned, err);
}

/* The config is already written: a failed cleanup is reported and does not undo it. */
static int clean_container(const struct nvl_context *ctx, struct detach *d, bool dry_run,
                           struct nvl_error *err)
{
    struct nvl_error clean_err = {0};

    int r = nvl_live_step_detach(ctx, &d->target, dry_run, &d->live, err);
    if (d->live.done) {
        d->cleaned = d->live.result.cleaned;
        d->live.result.cleaned = (struct nvl_cleaned){0};
    } else if (r == 0 && clean_stopped(ctx, d, dry_run, &clean_err) < 0) {
        d->cleaned.failed = true;
        nvl_strv_pushf(&d->warnings, "its root file system was not cleaned: %s", clean_err.message);
    }
    for (size_t i = 0; i < d->cleaned.problems.count; i++)
        nvl_strv_push(&d->warnings, d->cleaned.problems.items[i]);
    return r;
}

static int plan_detach(struct detach *d, struct nvl_error *err)
{
    const struct nvl_target *t = &d->target;
    struct nvl_delivery delivery;
    int r = nvl_plan_detach(&t->config, false, &d->plan, err);

    if (r < 0 || t->container->kind != NVL_CONTAINER_PVE ||
        !nvl_effective_delivery(&t->effective, &delivery) || !delivery.tag)
        return r;
    return nvl_plan_tag(&d->plan, &t->config, &(struct nvl_strv){0}, true, err);
}

/* Reads, plans and writes; anew if somebody else wrote the config in between. */
static int detach_config(const struct nvl_context *ctx, const char *name, const struct detach_values *values,
                         struct detach *d, struct nvl_error *err)
{
    int r = -EAGAIN;

    for (int round = 0; r == -EAGAIN && round <= NVL_COMMIT_REPEATS; round++) {
        detach_clear(d);
        *d = (struct detach){.live.asked_for = values->live};
        r = nvl_target_open(&ctx->root, name, &d->target, err);
        if (r == 0)
            r = nvl_live_step_check(ctx, &d->target, NULL, values->dry_run, &d->live, err);
        if (r == 0)
            r = nvl_clean_check(&ctx->root, d->target.container, &d->target.effective, err);
        if (r == 0)
            r = plan_detach(d, err);
        if (r == 0 && !values->dry_run)
            r = nvl_commit(&ctx->root, d->target.container, &d->target.config, &d->plan, err);
    }
    return r;
}

static int exit_of(const struct detach *d)
{
    return d->cleaned.failed ? NVL_EXIT_FAILED : nvl_live_step_exit(&d->live);
}

static int run_detach(struct nvl_context *ctx, const struct nvl_strv *arguments, void *data,
                      struct nvl_error *err)
{
    const struct detach_values *values = data;
    struct detach nvl_auto(detach_clear) d = {0};

    int r = detach_config(ctx, arguments->items[0], values, &d, err);
    if (r < 0)
        return r;
    r = clean_container(ctx, &d, values->dry_run, err);
    if (r < 0)
        return r;
    if (ctx->json) {
        print_detach_json(&d, values->dry_run);
        return exit_of(&d);
    }
    say_config(ctx, &d, values->dry_run);
    nvl_live_step_say(ctx, &d.target, &d.live, values->dry_run);
    say_cleaned(ctx, &d, values->dry_run);
    nvl_warn_all(&d.warnings);
    return exit_of(&d);
}

static const struct nvl_example detach_examples[] = {
    {"detach 101 --dry-run", "what would go from the config of CT 101"},
    {"detach 101", "from its next start on CT 101 has no GPU"},
    {"detach 101 --live --dry-run", "which of its programs would keep the GPU"},
    {"detach 101 --live", "take the GPU now, while the CT runs"},
    {0},
};

const struct nvl_command nvl_cmd_detach = {
    .name = "detach",
    .arguments = "CT",
    .summary = "take the GPUs from a container",
    .details = "The config becomes what it was before attach, byte for byte, except that lines\n"
               "which `attach --replace` removed do not come back. If the container is stopped,\n"
               "detach also removes the files that the start hook left in its root file system.\n"
               "On Proxmox's storages that takes `pct mount` and `pct unmount`, with which Proxmox\n"
               "writes the config in its own form: notes on top, keys sorted, lines that it cannot\n"
               "read lost. Without a grant to take, detach does not run them.\n"
               "\n"
               "detach exits with 1 if it could not clean the root file system.\n"
               "\n"
               "--live removes nodes, driver and files from the running container. Programs that\n"
               "have the GPU open keep it until they close it or exit; detach names them.",
    .examples = detach_examples,
    .min_arguments = 1,
    .max_arguments = 1,
    .argument_values = "@granted",
    .options = detach_options,
    .values_size = sizeof(struct detach_values),
    .run = run_detach,
};
