/* A CDI specification made of what a host has, or of what a container is given. */
#pragma once

#include "base/root.h"
#include "cdi/format.h"

/* For engines on the host: each of its GPUs, and the bundle of the loaded driver. An error where there is no
 * GPU that can be given, no driver loaded, or no bundle of it. `warnings` gets what is not as it should be.
 */
int nvl_cdi_of_host(const struct nvl_root *root, const char *capabilities, struct nvl_cdi *cdi,
                    struct nvl_strv *warnings, struct nvl_error *err);
/* For engines inside this container: what it is granted, as it is there. */
int nvl_cdi_of_container(const struct nvl_root *root, const char *name, struct nvl_cdi *cdi,
                         struct nvl_strv *warnings, struct nvl_error *err);
