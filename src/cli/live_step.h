/* `--live` of attach and detach: when it works, and what it reports. */
#pragma once

#include "apply/live.h"
#include "cli/command.h"

struct nvl_target;

struct nvl_live_step {
    bool asked_for;
    bool is_running; /* if not, there is nothing to change now */
    bool done;       /* `result` is valid */
    struct nvl_live_result result;
};

/* Checks before anything is written. Fails if --live cannot work: only root can use it, only on this machine
 * (except with a dry run), and not for what only a start can add. `grant` is NULL for detach. */
int nvl_live_step_check(const struct nvl_context *ctx, const struct nvl_target *target,
                        const struct nvl_grant *grant, bool dry_run, struct nvl_live_step *step,
                        struct nvl_error *err);
/* Runs after the config is written, if --live was given and the container runs; reads the config again. With
 * dry_run it says what it would do. */
int nvl_live_step_attach(const struct nvl_context *ctx, const struct nvl_target *target,
                         const struct nvl_grant *grant, bool dry_run, struct nvl_live_step *step,
                         struct nvl_error *err);
int nvl_live_step_detach(const struct nvl_context *ctx, const struct nvl_target *target, bool dry_run,
                         struct nvl_live_step *step, struct nvl_error *err);

/* Prints the result as text. */
void nvl_live_step_say(const struct nvl_context *ctx, const struct nvl_target *target,
                       const struct nvl_live_step *step, bool dry_run);
/* Null if --live was not given. */
json_t *nvl_live_step_json(const struct nvl_live_step *step);
/* The command's exit status: any part that was not done is a failure. */
int nvl_live_step_exit(const struct nvl_live_step *step);
void nvl_live_step_clear(struct nvl_live_step *step);
