/* Builds a driver bundle and shows the progress on a terminal; also a step of `attach`. */
#pragma once

#include "bundle/build.h"
#include "cli/command.h"
#include "grant/grant.h"
#include "host/driver_version.h"

enum nvl_bundle_state {
    NVL_BUNDLE_UNUSED,  /* the grant needs none, or no driver is loaded */
    NVL_BUNDLE_PRESENT, /* there was one */
    NVL_BUNDLE_BUILT,
    NVL_BUNDLE_PLANNED, /* a dry run: it would be built */
    NVL_BUNDLE_MISSING, /* and could not be built */
    NVL_BUNDLE_LEFT, /* and only root can build it, or the host is a capture, which has the driver's files in
                        name only */
};
/* "present" and so on; NULL for UNUSED. */
const char *nvl_bundle_state_name(enum nvl_bundle_state state);

/* Builds the bundle of the loaded version if it is missing, with progress on a terminal. With dry_run it says
 * what it would build. Obstacles go to `warnings`, each with what to do, and so does everything that the
 * installed driver lacks for the capabilities. */
enum nvl_bundle_state nvl_bundle_step(const struct nvl_context *ctx, const struct nvl_driver_version *driver,
                                      unsigned capabilities, bool dry_run, struct nvl_strv *warnings);

/* nvl_bundle_sync, with a percentage on stderr if that is a terminal and neither --quiet nor --json is given.
 */
int nvl_sync_shown(const struct nvl_context *ctx, const struct nvl_userspace *us, const char *version,
                   bool dry_run, struct nvl_sync_result *result, struct nvl_error *err);
