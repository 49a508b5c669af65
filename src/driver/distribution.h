/* How each distribution manages NVIDIA's driver: its own commands, as far as they are known. */
#pragma once

#include "host/system.h"

/* Whether `nvlxc host setup` knows it: Debian 12 and 13, and Proxmox VE on them, with a known kernel. */
bool nvl_can_set_up(const struct nvl_system *system);

enum nvl_driver_action {
    NVL_ACTION_INSTALL,   /* the driver: kernel module, libraries, nvidia-smi */
    NVL_ACTION_UPGRADE,   /* to the newest that the distribution has */
    NVL_ACTION_HEADERS,   /* of the running kernel */
    NVL_ACTION_REBUILD,   /* the module, for the running kernel */
    NVL_ACTION_LIBRARIES, /* for programs, if the module is installed already */
    NVL_ACTIONS
};

/* Appends the commands of a distribution, one a line; false if none is known. Debian's driver is not among
 * them: it depends on the release and the kernel (driver/advice.h). */
bool nvl_distribution_add(const struct nvl_system *system, enum nvl_driver_action action,
                          struct nvl_strv *fix);
