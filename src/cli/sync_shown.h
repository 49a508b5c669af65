/* Building a driver bundle with its progress shown on a terminal. */
#pragma once

#include "cli/command.h"
#include "bundle/build.h"

/* nvl_bundle_sync; the percentage is on stderr while it works, where that is a terminal and neither --quiet
 * nor --json is given. */
int nvl_sync_shown(const struct nvl_context *ctx, const struct nvl_userspace *us, const char *version,
                   bool dry_run, struct nvl_sync_result *result, struct nvl_error *err);
