/* Changes the running container, as a step of `attach` and `detach`. */
#include "cli/live_step.h"

#include <errno.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/print.h"
#include "apply/live.h"
#include "apply/open_files.h"
#include "container/target.h"
#include "grant/grant.h"

/* Refuses what Proxmox and LXC themselves do at a start, from the config's own entries. */
static int check_ways(const struct nvl_target *target, const struct nvl_grant *grant, struct nvl_error *err)
{
    int r;

    if (grant->delivery.nodes == NVL_NODES_DEV) {
        r = nvl_error_usage(err,
                            "--live does not work with --nodes dev: Proxmox applies its dev[n] entries only "
                            "at a start");
        nvl_error_hint(err,
                       "leave out --live and restart the CT; or attach --nodes hook --live\nsince "
                       "pve-container 6.0.4 a running CT gets a node by: pct set %s --devN PATH",
                       target->container->name);
        return r;
    }
    if (grant->delivery.libraries == NVL_LIBRARIES_HOST) {
        r = nvl_error_usage(err,
                            "--live does not work with --libraries host: it would mount over library folders "
                            "that the container's programs are using");
        nvl_error_hint(err,
                       "leave out --live and restart the container, or attach --libraries bundle --live");
        return r;
    }
    return 0;
}

int nvl_live_step_check(const struct nvl_context *ctx, const struct nvl_target *target,
                        const struct nvl_grant *grant, bool dry_run, struct nvl_live_step *step,
                        struct nvl_error *err)
{
    if (!step->asked_for)
        return 0;
    int r = grant != NULL ? check_ways(target, grant, err) : 0;
    if (r < 0)
        return r;
    step->is_running = nvl_container_is_running(&ctx->root, target->container);
    if (!step->is_running || (dry_run && !nvl_root_is_machine(&ctx->root)))
        return 0;
    if (!nvl_root_is_machine(&ctx->root))
        return nvl_error_usage(
            err, "--live changes a running container of this machine and does not work with --root");
    if (geteuid() != 0) {
        r = nvl_error_host(err, -EPERM, "--live must run as root: it enters the container's mounts");
        nvl_error_hint(err, "run it with sudo, or leave out --live and restart the container");
        return r;
    }
    return 0;
}

static int explain_live_failure(const struct nvl_target *target, bool dry_run, int r, struct nvl_error *err)
{
    if (r == 0 || dry_run)
        return r;
    nvl_error_prefix(err,
                     "%s: the config is written and takes effect at the next start; applying it now failed",
                     target->name);
    if (err->hint[0] == '\0') {
        nvl_autofree char *restart = nvl_container_restart(target->container);
        nvl_error_hint(err, "restart it: %s", restart);
    }
    return r;
}

int nvl_live_step_attach(const struct nvl_context *ctx, const struct nvl_target *target,
                         const struct nvl_grant *grant, bool dry_run, struct nvl_live_step *step,
                         struct nvl_error *err)
{
    nvl_auto(nvl_target_close) struct nvl_target now = {0}; /* with what was just written */
    int r;

    if (!step->asked_for || !step->is_running)
        return 0;
    if (dry_run) {
        r = nvl_live_attach_dry(&ctx->root, grant, &step->result, err);
    } else {
        r = nvl_target_open(&ctx->root, target->name, &now, err);
        if (r == 0)
            r = nvl_live_attach(&ctx->root, now.container, &now.effective, &step->result, err);
    }
    step->done = r == 0;
    return explain_live_failure(target, dry_run, r, err);
}

int nvl_live_step_detach(const struct nvl_context *ctx, const struct nvl_target *target, bool dry_run,
                         struct nvl_live_step *step, struct nvl_error *err)
{
    if (!step->asked_for || !step->is_running || !nvl_root_is_machine(&ctx->root))
        return 0;
    int r = nvl_live_detach(&ctx->root, target->container, &target->effective, dry_run, &step->result, err);
    step->done = r == 0;
    return explain_live_failure(target, dry_run, r, err);
}

static void say_list(const struct nvl_context *ctx, const struct nvl_target *target, const char *what,
                     const struct nvl_strv *list)
{
    nvl_autofree char *text = nvl_strv_join(list, ", ");

    if (list->count > 0)
        nvl_say_fact(ctx, "", "%s: %s: %s", target->name, what, text);
}

static void say_programs(const struct nvl_context *ctx, const struct nvl_target *target,
                         const struct nvl_programs *programs, bool dry_run)
{
    for (size_t i = 0; i < programs->count; i++) {
        nvl_autofree char *devices = nvl_strv_join(&programs->items[i].devices, " ");
        nvl_say_fact(ctx, "", "%s: %s (pid %d) has %s open and %s until it closes it or exits", target->name,
                     programs->items[i].name, (int)programs->items[i].pid, devices,
                     dry_run ? "would keep it" : "keeps it");
    }
}

void nvl_live_step_say(const struct nvl_context *ctx, const struct nvl_target *target,
                       const struct nvl_live_step *step, bool dry_run)
{
    const struct nvl_live_result *r = &step->result;

    if (step->asked_for && !step->is_running)
        nvl_say(ctx, "%s is not running: --live has nothing to do", target->name);
    if (!step->done)
        return;
    say_programs(ctx, target, &r->programs, dry_run);
    say_list(ctx, target,
             dry_run ? "would remove from the running container" : "removed from the running container",
             &r->ejected.what);
    say_list(ctx, target, dry_run ? "would add to the running container" : "added to the running container",
             &r->injected.done);
    if (r->injected.done.count + r->ejected.what.count + r->injected.problems.count +
            r->ejected.problems.count ==
        0)
        nvl_say(ctx, "%s: nothing to change in the running container", target->name);
    say_list(ctx, target, "note", &r->injected.notes);
    for (size_t i = 0; i < r->injected.problems.count; i++)
        nvl_warn("in the running container: %s", r->injected.problems.items[i]);
    for (size_t i = 0; i < r->ejected.problems.count; i++)
        nvl_warn("in the running container: %s", r->ejected.problems.items[i]);
}

static json_t *programs_json(const struct nvl_programs *programs)
{
    json_t *array = json_array();

    for (size_t i = 0; i < programs->count; i++)
        json_array_append_new(array, json_pack("{s:i,s:o,s:o}", "pid", (int)programs->items[i].pid, "program",
                                               nvl_json_text(programs->items[i].name), "open_nodes",
                                               nvl_json_strings(&programs->items[i].devices)));
    return array;
}

json_t *nvl_live_step_json(const struct nvl_live_step *step)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv problems = {0};
    const struct nvl_live_result *r = &step->result;

    if (!step->asked_for)
        return json_null();
    for (size_t i = 0; i < r->injected.problems.count; i++)
        nvl_strv_push(&problems, r->injected.problems.items[i]);
    for (size_t i = 0; i < r->ejected.problems.count; i++)
        nvl_strv_push(&problems, r->ejected.problems.items[i]);
    return json_pack("{s:b,s:o,s:o,s:o,s:o,s:o}", "running", (int)step->is_running, "brought",
                     nvl_json_strings(&r->injected.done), "taken", nvl_json_strings(&r->ejected.what),
                     "problems", nvl_json_strings(&problems), "notes", nvl_json_strings(&r->injected.notes),
                     "programs", programs_json(&r->programs));
}

int nvl_live_step_exit(const struct nvl_live_step *step)
{
    const struct nvl_live_result *r = &step->result;

    return r->injected.problems.count + r->ejected.problems.count > 0 ? NVL_EXIT_FAILED : NVL_EXIT_OK;
}

void nvl_live_step_clear(struct nvl_live_step *step)
{
    nvl_live_result_clear(&step->result);
}
