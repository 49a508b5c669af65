/* /proc/driver/nvidia as the container sees it: only its own GPUs, and `ModifyDeviceFiles: 0`, so that the
 * libraries of its root do not try to make device nodes. A small read-only tmpfs over the real one. */
#pragma once

#include <stdbool.h>

#include "base/text.h"

struct nvl_host;
struct nvl_resolved;
struct nvl_root;

/* A view that exists and is not mounted yet. */
struct nvl_proc_view {
    bool is_from_host;     /* made in the host's mount namespace, whose mounts may be shared */
    int mount_fd;          /* a detached tmpfs with the view's own files; -1 for none */
    struct nvl_strv names; /* folders and files of the host that are mounted below it */
    int *mounts;           /* detached copies of them */
    size_t n_mounts;
};
#define NVL_PROC_VIEW_NONE ((struct nvl_proc_view){.mount_fd = -1})

/* Call it while the host's paths are visible. On an error it contains what could be made: the container then
 * sees less, never more. */
int nvl_proc_view_make(struct nvl_proc_view *view, bool is_from_host, const struct nvl_host *host,
                       const struct nvl_resolved *resolved);
/* Mounts the view. 1 if the container's /proc does not show the driver. */
int nvl_proc_view_put(const struct nvl_proc_view *view, const struct nvl_root *rootfs);
/* Whether any view is mounted there now; and whether it is the same as this one. */
bool nvl_proc_view_is_there(const struct nvl_root *rootfs);
bool nvl_proc_view_is_current(const struct nvl_proc_view *view, const struct nvl_root *rootfs);
void nvl_proc_view_clear(struct nvl_proc_view *view);
