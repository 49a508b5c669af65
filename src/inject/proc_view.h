/* /proc/driver/nvidia as the container sees it: only its own GPUs, and `ModifyDeviceFiles: 0`, so that
 * root's libraries in it do not try to make device nodes. A small read-only tmpfs over the real one. */
#pragma once

#include <stdbool.h>

#include "base/text.h"

struct nvl_host;
struct nvl_resolved;
struct nvl_root;

/* One that is made and not mounted yet. */
struct nvl_proc_view {
    bool is_from_host;     /* made in the host's mount namespace, whose mounts may be shared */
    int mount_fd;          /* a detached tmpfs with the files that are its own; -1 for none */
    struct nvl_strv names; /* folders and files of the host that are mounted below it */
    int *mounts;           /* detached copies of them */
    size_t n_mounts;
};
#define NVL_PROC_VIEW_NONE ((struct nvl_proc_view){.mount_fd = -1})

/* Made where the host's paths are seen. On an error it has what could be made: less is seen, never more. */
int nvl_proc_view_make(struct nvl_proc_view *view, bool is_from_host, const struct nvl_host *host,
                       const struct nvl_resolved *resolved);
/* Mounts it. 1 where the container's /proc does not show the driver. */
int nvl_proc_view_put(const struct nvl_proc_view *view, const struct nvl_root *rootfs);
/* Whether a view is mounted there now, whatever it shows; and whether it is the same as this one. */
bool nvl_proc_view_is_there(const struct nvl_root *rootfs);
bool nvl_proc_view_is_current(const struct nvl_proc_view *view, const struct nvl_root *rootfs);
void nvl_proc_view_clear(struct nvl_proc_view *view);
