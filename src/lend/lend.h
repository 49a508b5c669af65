/* From the containers to a virtual machine. */
#pragma once

#include "lend/handover.h"

/* Takes the GPU from the containers and NVIDIA's driver and gives it to vfio-pci, with all functions of its
 * slot. Fails before it changes anything if this host cannot lend it, or if somebody uses it; later only
 * after it has undone what it did, but for a driver that does not let go (-ETIMEDOUT). Killed in the middle,
 * it goes on when it is called again, and nvl_back undoes it. */
int nvl_lend(const struct nvl_handover_request *request, struct nvl_handover *handover,
             struct nvl_error *err);
