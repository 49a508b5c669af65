/* /proc/driver/nvidia as the container shall see it: its own GPUs alone, and `ModifyDeviceFiles: 0`, so that
 * root's libraries in it do not try to make device nodes. A small read-only tmpfs over the real one. */
#pragma once

#include "grant/resolve.h"

/* 0 also where the container's /proc does not show the driver. */
int nvl_proc_mount(const struct nvl_host *host, const struct nvl_root *rootfs,
                   const struct nvl_resolved *resolved);
