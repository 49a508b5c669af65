/* The loaded driver's firmware as a part of `driver sync`. */
#pragma once

#include "cli/command.h"
#include "host/driver_version.h"

/* Keeps it, puts it where the kernel looks while an upgrade is pending, takes it away after; says in one line
 * what was done. *json: an object, or null where there is none. 0 also where no driver is loaded. */
int nvl_firmware_step(const struct nvl_context *ctx, const struct nvl_driver_version *loaded, bool dry_run,
                      json_t **json, struct nvl_error *err);
