/* Makes a CDI specification of what a host has, or of a container's grant. */
#pragma once

#include "base/root.h"
#include "cdi/format.h"

/* For engines on the host: each of its GPUs, and the bundle of the loaded driver. Fails if there is no usable
 * GPU, no loaded driver, or no bundle of it. `warnings` gets what is not as it should be. */
int nvl_cdi_of_host(const struct nvl_root *root, const char *capabilities, struct nvl_cdi *cdi,
                    struct nvl_strv *warnings, struct nvl_error *err);
/* For engines inside this container: its grant, as the container sees it. */
int nvl_cdi_of_container(const struct nvl_root *root, const char *name, struct nvl_cdi *cdi,
                         struct nvl_strv *warnings, struct nvl_error *err);
