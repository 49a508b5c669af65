/* Taking out of a running container's mounts what was brought in: by the start hook or live, which is the
 * same. Run in its mount namespace. What is known to be brought is told by what it is, not by its name: the
 * driver's devices, a bundle of this host, a view of /proc/driver/nvidia; and only where it is mounted. */
#pragma once

#include "host/host.h"
#include "inject/proc_view.h"

struct nvl_device {
    char path[48];
    unsigned major, minor;
};

struct nvl_taken {
    struct nvl_device *devices;
    size_t n_devices;
    struct nvl_strv what;     /* "devices nvidia0 nvidiactl", "driver", … */
    struct nvl_strv problems; /* what could not be taken away */
};

struct nvl_taking {
    const struct nvl_host *host;
    const struct nvl_root *rootfs;
    bool only_look;
    struct nvl_taken *taken;
};

/* The nodes that are not among `keep`. */
void nvl_take_nodes(const struct nvl_taking *t, const struct nvl_node *keep, size_t n_keep);
/* Every bundle, down to the one that `keep` refers to; -1: every one. */
void nvl_take_driver(const struct nvl_taking *t, int keep);
/* The view, but for one that shows what `keep` shows (NULL: every one). */
void nvl_take_view(const struct nvl_taking *t, const struct nvl_proc_view *keep);
void nvl_taken_clear(struct nvl_taken *taken);
