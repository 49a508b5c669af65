/* What to tell a user whose grant names something that this host does not have. A part of resolve.c. */
#pragma once

#include "grant/grant.h"
#include "host/host.h"

/* One line. `gpu` is the one that the selector names, where there is one that cannot be used, or that has not
 * the MIG device; else NULL. */
void nvl_missing_selector(struct nvl_strv *missing, const struct nvl_host *host,
                          const struct nvl_selector *selector, const struct nvl_gpu *gpu);
/* One line for "all" on a host without a GPU. */
void nvl_missing_all(struct nvl_strv *missing, const struct nvl_host *host);
