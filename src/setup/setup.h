/* The plan of host setup: numbered steps that bring this host to where it serves GPUs, each with its reason
 * and its exact commands or edits, and whether it is done already. Made from facts alone. */
#pragma once

#include "setup/steps.h"

/* -ENOTSUP (exit status 3) on a machine that setup does not know, says what was found; -ENODEV where there
 * is no GPU for it. A driver that cannot be had is a step of the plan, IMPOSSIBLE. */
int nvl_setup_plan_make(const struct nvl_root *root, unsigned capabilities, struct nvl_setup_plan *plan,
                        struct nvl_error *err);
void nvl_setup_plan_clear(struct nvl_setup_plan *plan);
/* The plan for people: what the host is, then the steps. */
void nvl_setup_plan_show(const struct nvl_setup_plan *plan, struct nvl_buf *out);
