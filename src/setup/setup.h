/* The plan of host setup: numbered steps after which this host serves GPUs, each with its reason, its exact
 * commands or edits, and whether it is done already. Made only from facts. */
#pragma once

#include "setup/steps.h"

/* -ENOTSUP (exit status 3) on a machine that setup does not know, with what was found; -ENODEV if there is no
 * GPU for it. If no driver can be had, the plan has a step that is IMPOSSIBLE. */
int nvl_setup_plan_make(const struct nvl_root *root, const struct nvl_setup_request *request,
                        struct nvl_setup_plan *plan, struct nvl_error *err);
/* Why the driver of this package version does not fit this host; *problem is NULL if it does, or if nothing
 * is known. The caller frees. */
int nvl_setup_misfit(const struct nvl_root *root, const char *package_version, enum nvl_flavour flavour,
                     char **problem, struct nvl_error *err);
void nvl_setup_plan_clear(struct nvl_setup_plan *plan);
