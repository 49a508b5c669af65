/* What lines that were written by hand give a container, as a grant: the request that `attach --replace`
 * takes where the command line names nothing. */
#pragma once

#include "container/container.h"
#include "grant/resolve.h"

/* The GPUs: of NVIDIA_VISIBLE_DEVICES, or those whose nodes are named by path. A LIST of no selectors where
 * the lines do not say. `warnings` (NULL for none) gets what names nothing on this host. */
void nvl_adopt_gpus(const struct nvl_config *config, const struct nvl_host *host, struct nvl_grant *grant,
                    struct nvl_strv *warnings);
/* The capabilities: of NVIDIA_DRIVER_CAPABILITIES, or compute and utility, with video where the lines bring
 * in the driver's libraries, with graphics where they bring in the nodes that it needs. 0 where there are
 * neither lines by hand nor a grant. */
unsigned nvl_adopt_capabilities(const struct nvl_config *config);
