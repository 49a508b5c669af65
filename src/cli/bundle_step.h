/* Building a driver bundle with its progress shown on a terminal, and as a step of `attach`. */
#pragma once

#include "bundle/build.h"
#include "cli/command.h"
#include "grant/grant.h"
#include "host/driver_version.h"

/* Builds the loaded version's bundle where it is missing, with progress on a terminal. With dry_run it says
 * what would be built. It never fails the command: what is in the way goes to `warnings`, with what to do; so
 * does what the installed driver lacks of the capabilities. */
void nvl_bundle_step(const struct nvl_context *ctx, const struct nvl_driver_version *driver,
                     unsigned capabilities, bool dry_run, struct nvl_strv *warnings);

/* nvl_bundle_sync; the percentage is on stderr while it works, where that is a terminal and neither --quiet
 * nor --json is given. */
int nvl_sync_shown(const struct nvl_context *ctx, const struct nvl_userspace *us, const char *version,
                   bool dry_run, struct nvl_sync_result *result, struct nvl_error *err);
