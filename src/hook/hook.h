/* The start hook: resolves a container's grant against the host at this moment and puts the GPU into the
 * container. One small static program, called by liblxc as lxc.hook.pre-start and lxc.hook.mount. */
#pragma once

#include "grant/grant.h"
#include "inject/outcome.h"

struct nvl_root;

/* What liblxc and the container's config say; the environment is cleared after it was read. */
struct nvl_hook_call {
    char *type;                   /* "pre-start", "mount", "prepare" */
    char *container;              /* LXC_NAME; "host" for "prepare" */
    char *rootfs_mount;           /* LXC_ROOTFS_MOUNT: where the root file system is mounted now */
    char *config;                 /* LXC_CONFIG_FILE */
    char *devices;                /* NVIDIA_VISIBLE_DEVICES; NULL where it is not set */
    char *capabilities;           /* NVIDIA_DRIVER_CAPABILITIES */
    struct nvl_delivery delivery; /* --required, --nodes=…, --libraries=… */
};

/* As the host's root, before anything is mounted: loads nvidia-uvm, makes missing device nodes, has a missing
 * bundle built where the container is to have one. Run by a plain user it can do none of that, and does
 * nothing. */
void nvl_hook_pre_start(const struct nvl_hook_call *call, const struct nvl_root *host,
                        struct nvl_outcome *outcome);

/* `hook --prepare`, as root after the machine has booted, before containers start: loads the modules and
 * makes every node, for root's containers and for users', whose own pre-start hook cannot. The bundle is the
 * unit's next step. Silent where there is no GPU for the driver, or no driver. */
void nvl_hook_prepare(const struct nvl_root *host, struct nvl_outcome *outcome);

/* As the container's root, in its mount namespace, the host's paths still visible: binds nodes and bundle. */
void nvl_hook_mount(const struct nvl_hook_call *call, const struct nvl_root *host,
                    struct nvl_outcome *outcome);
