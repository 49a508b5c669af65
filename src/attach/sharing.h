/* Several containers and one GPU: usual, unless one of them wants it alone. */
#pragma once

#include "container/target.h"
#include "grant/resolve.h"

/* An exclusive grant is refused (-EBUSY) where another container of this node has one of its GPUs, by a grant
 * or by hand; another's exclusive grant of one of them is a warning. */
int nvl_sharing_check(const struct nvl_target *target, const struct nvl_host *host,
                      const struct nvl_grant *grant, const struct nvl_resolved *resolved,
                      struct nvl_strv *warnings, struct nvl_error *err);
