/* `--live` of attach and detach: when it can be done, and what is told of it. */
#pragma once

#include "apply/live.h"
#include "cli/command.h"

struct nvl_target;

struct nvl_live_step {
    bool asked_for;
    bool is_running; /* else there is nothing to change now */
    bool done;       /* there is a result */
    struct nvl_live_result result;
};

/* Before anything is written. An error where it cannot be done: only root can, only on this machine (but for
 * a dry run), and not for what only a start can bring. `grant` is NULL for detach. */
int nvl_live_step_check(const struct nvl_context *ctx, const struct nvl_target *target,
                        const struct nvl_grant *grant, bool dry_run, struct nvl_live_step *step,
                        struct nvl_error *err);
/* After the config is written, where asked for and running; reads it again. With dry_run it says what would
 * be. */
int nvl_live_step_attach(const struct nvl_context *ctx, const struct nvl_target *target,
                         const struct nvl_grant *grant, bool dry_run, struct nvl_live_step *step,
                         struct nvl_error *err);
int nvl_live_step_detach(const struct nvl_context *ctx, const struct nvl_target *target, bool dry_run,
                         struct nvl_live_step *step, struct nvl_error *err);

/* For people. */
void nvl_live_step_say(const struct nvl_context *ctx, const struct nvl_target *target,
                       const struct nvl_live_step *step, bool dry_run);
/* Null where it was not asked for. */
json_t *nvl_live_step_json(const struct nvl_live_step *step);
/* The command's exit status: a part that could not be done is a failure. */
int nvl_live_step_exit(const struct nvl_live_step *step);
void nvl_live_step_clear(struct nvl_live_step *step);
