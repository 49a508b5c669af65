/* What the host's checks read beyond the readers of the host room, for a captured host. A part of
 * cmd/capture.c. */
#pragma once

#include "base/root.h"

/* Only what is about the driver is taken of files that say more: modprobe's configuration, the kernel's
 * command line, dpkg's status. */
int nvl_capture_checks(const struct nvl_root *root, int dirfd, struct nvl_error *err);
