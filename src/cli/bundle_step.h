/* The driver bundle as a step of `attach`: built where the loaded driver's is missing, told where it cannot
 * be. */
#pragma once

#include "cli/command.h"
#include "grant/grant.h"
#include "host/driver_version.h"

/* Builds the loaded version's bundle where it is missing, with progress on a terminal. With dry_run it says
 * what would be built. It never fails the command: what is in the way goes to `warnings`, with what to do; so
 * does what the installed driver lacks of the capabilities. */
void nvl_bundle_step(const struct nvl_context *ctx, const struct nvl_driver_version *driver,
                     unsigned capabilities, bool dry_run, struct nvl_strv *warnings);
