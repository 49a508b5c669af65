/* Device nodes: which ones this host should have, and what is wrong with those it has. */
#pragma once

#include "host/gpu.h"
#include "host/majors.h"
#include "host/params.h"

enum nvl_node_state {
    NVL_NODE_OK,
    NVL_NODE_MISSING,
    NVL_NODE_NOT_DEVICE, /* a regular file or anything else: left by `create=file` while its source was absent
                          */
    NVL_NODE_STALE,      /* a device, but with another major or minor than the driver has now */
    NVL_NODE_MODE,       /* right device, but its mode lacks bits that the driver's params ask for */
};

enum nvl_node_kind {
    NVL_NODE_GPU,       /* /dev/nvidiaN */
    NVL_NODE_CTL,       /* /dev/nvidiactl */
    NVL_NODE_MODESET,   /* /dev/nvidia-modeset */
    NVL_NODE_UVM,       /* /dev/nvidia-uvm */
    NVL_NODE_UVM_TOOLS, /* /dev/nvidia-uvm-tools */
    NVL_NODE_CAP,       /* /dev/nvidia-caps/nvidia-capN */
    NVL_NODE_DRI,       /* /dev/dri/cardN, /dev/dri/renderDN */
    NVL_NODE_OTHER,     /* of another module of NVIDIA's, or left over: nvl_other_nodes */
};

struct nvl_node {
    char path[48]; /* "/dev/nvidia0" */
    enum nvl_node_kind kind;
    int major, minor; /* what it should be; major -1 if its driver is not loaded */
    unsigned mode;    /* what it should be: 0666 from params, 0400/0444 for caps, 0 for "not nvlxc's decision"
                         (DRI) */
    /* what was found */
    enum nvl_node_state state;
    int found_major, found_minor; /* -1 if not a device */
    unsigned found_mode;
};

/* A node as it should be, not inspected yet. `minor` is N of the path for GPU, CAP and DRI; render selects
 * renderDN for DRI. */
struct nvl_node nvl_node_make(enum nvl_node_kind kind, unsigned minor, bool render,
                              const struct nvl_majors *majors, const struct nvl_params *params);
/* Whether grants bring nodes of this name: "/dev/nvidia0", "/dev/nvidia-uvm"; also for the folder
 * /dev/nvidia-caps, and for a name cut short by "*". Other modules of NVIDIA have nodes of their own
 * (/dev/nvidia-fs0, /dev/nvidia-nvswitch0, /dev/nvidia-caps-imex-channels), which this leaves out. */
bool nvl_node_is_nvidias(const char *path);
/* Inspects the node below the root and fills in what was found. Follows no link at the last component. */
void nvl_node_check(const struct nvl_root *root, struct nvl_node *node);
const char *
nvl_node_state_name(enum nvl_node_state state); /* "ok", "missing", "not a device", "stale", "mode" */
/* What it is for, in a few words: "CUDA", "GPUDirect Storage"; of any node, also those that no grant brings.
 */
const char *nvl_node_purpose(const char *path);
/* A container's group for a node of /dev/dri: "render" if it has one and the node is for rendering, else
 * "video". *gid is its number as the container counts; false if there is no such group. */
bool nvl_node_group(const struct nvl_root *rootfs, const char *path, const char **name, unsigned *gid);
