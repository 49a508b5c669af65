/* nvlxc driver sync, for the verbs of cmd/driver.c. */
#pragma once

#include "bundle/list.h"
#include "cli/command.h"
#include "host/driver_version.h"
#include "host/userspace.h"

/* The host's drivers and bundles, for all three verbs. */
struct nvl_drivers {
    struct nvl_context *ctx;
    bool dry_run, if_present;
    struct nvl_driver_version loaded;
    struct nvl_userspace userspace;
    struct nvl_bundles bundles;
};

/* NULL if there is none. */
const struct nvl_bundle *nvl_drivers_find(const struct nvl_drivers *d, const char *version);
/* Of the given versions; with none, of the loaded and each installed one. Returns 0 or a negative errno with
 * err set. */
int nvl_driver_sync(struct nvl_drivers *d, const struct nvl_strv *asked, struct nvl_error *err);
