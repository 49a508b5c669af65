/* The start hook: resolves a container's grant against the host at this moment and puts the GPU into the
 * container. One small static program, which liblxc calls as lxc.hook.pre-start and lxc.hook.mount. */
#pragma once

#include "grant/grant.h"
#include "inject/outcome.h"
#include <stddef.h>

struct nvl_root;

/* What liblxc and the container's config say; the environment is cleared after reading it. */
struct nvl_hook_call {
    char *type;                   /* "pre-start", "mount", "prepare" */
    char *container;              /* LXC_NAME; "host" for "prepare" */
    char *rootfs_mount;           /* LXC_ROOTFS_MOUNT: the root file system's mount point */
    char *config;                 /* LXC_CONFIG_FILE */
    char *devices;                /* NVIDIA_VISIBLE_DEVICES; NULL if unset */
    char *gpus;                   /* NVLXC_GPUS; NULL if unset */
    char *capabilities;           /* NVIDIA_DRIVER_CAPABILITIES */
    struct nvl_delivery delivery; /* --required, --nodes=…, --libraries=… */
    int log; /* connected to the system log, also where its path is out of reach; or -1 */
};

/* Runs as the host's root, before anything is mounted: loads nvidia-uvm, makes missing device nodes, and has
 * a missing bundle built if the container is to get one. A plain user can do none of that, so for one it does
 * nothing. */
void nvl_hook_pre_start(const struct nvl_hook_call *call, const struct nvl_root *host,
                        struct nvl_outcome *outcome);

/* `hook --prepare`, as root after the machine has booted, before containers start: loads the modules and
 * makes every node, for containers of root and of users, whose own pre-start hook cannot. The unit builds the
 * bundle next. Silent if the driver has no GPU, or if there is no driver. */
void nvl_hook_prepare(const struct nvl_root *host, struct nvl_outcome *outcome);

/* Runs as the container's root, in its mount namespace, while the host's paths are visible: binds nodes and
 * bundle. It gives up rights on the way: at once those that mounting does not take, and before it reads the
 * container's linker cache all of them, with every descriptor but the log's. */
void nvl_hook_mount(const struct nvl_hook_call *call, const struct nvl_root *host,
                    struct nvl_outcome *outcome);
