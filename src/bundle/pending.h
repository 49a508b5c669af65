/* Not public: for this room. */
#pragma once

#include "host/userspace.h"

/* Whether the version is installed and not loaded: what the next boot loads. Without a module that is the
 * newest one. */
bool nvl_version_is_pending(const char *version, const struct nvl_driver_version *loaded,
                            const struct nvl_userspace *us);
