/* Ejects from a running container's mounts what the start hook or `attach --live` injected, which is the
 * same. Runs in its mount namespace. It recognizes what was injected by what it is, not by its name: the
 * driver's devices, a bundle of this host, a view of /proc/driver/nvidia; and only if it is mounted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

struct nvl_host;
struct nvl_node;
struct nvl_proc_view;
struct nvl_root;

struct nvl_device {
    char path[48];
    unsigned major, minor;
};

struct nvl_ejected {
    struct nvl_device *devices;
    size_t n_devices;
    struct nvl_strv what;     /* "devices nvidia0 nvidiactl", "driver", … */
    struct nvl_strv problems; /* what could not be ejected */
};

struct nvl_ejection {
    const struct nvl_host *host;
    const struct nvl_root *rootfs;
    bool only_look;
    struct nvl_ejected *ejected;
};

/* Whether a node of that name in /dev, /dev/dri or /dev/nvidia-caps is NVIDIA's. */
bool nvl_eject_names(const struct nvl_host *host, const char *folder, const char *name);
/* Ejects the nodes that are not among `keep`. */
void nvl_eject_nodes(const struct nvl_ejection *e, const struct nvl_node *keep, size_t n_keep);
/* Ejects every bundle, down to the one that `keep` refers to; -1: every one. */
void nvl_eject_driver(const struct nvl_ejection *e, int keep);
/* Ejects the view, unless it shows what `keep` shows (NULL: every one). */
void nvl_eject_view(const struct nvl_ejection *e, const struct nvl_proc_view *keep);
void nvl_ejected_clear(struct nvl_ejected *ejected);
