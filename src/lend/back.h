/* From a virtual machine back to the containers. */
#pragma once

#include "lend/handover.h"

/* Gives the GPU back to NVIDIA's driver, and to each running container whose grant means it: also one that
 * Proxmox VE took by itself. -EBUSY while a virtual machine has it. */
int nvl_back(const struct nvl_handover_request *request, struct nvl_handover *handover,
             struct nvl_error *err);
/* From wherever the functions are now to where the loan says that they were. */
int nvl_give_back(struct nvl_handing *h, struct nvl_error *err);
