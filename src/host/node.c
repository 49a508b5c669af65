/* Device nodes as the loaded driver would have them, compared with what is in /dev. */
#include "host/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "base/passwd.h"
#include "base/root.h"

#define DRI_MAJOR     226 /* the kernel's Documentation/admin-guide/devices.txt */
#define MINOR_CTL     255
#define MINOR_MODESET 254
#define CAP_CONFIG    1 /* of mig-minors: whoever opens it can change the GPU's partition */

struct nvl_node nvl_node_make(enum nvl_node_kind kind, unsigned minor, bool render,
                              const struct nvl_majors *majors, const struct nvl_params *params)
{
    struct nvl_node node = {.kind = kind, .major = majors->nvidia, .minor = (int)minor, .mode = params->mode};
    const char *fixed = NULL;

    switch (kind) {
    case NVL_NODE_GPU:
        snprintf(node.path, sizeof node.path, "/dev/nvidia%u", minor);
        break;
    case NVL_NODE_CTL:
        fixed = "/dev/nvidiactl";
        node.minor = MINOR_CTL;
        break;
    case NVL_NODE_MODESET:
        fixed = "/dev/nvidia-modeset";
        node.minor = MINOR_MODESET;
        break;
    case NVL_NODE_UVM:
        fixed = "/dev/nvidia-uvm";
        node.major = majors->uvm;
        node.minor = 0;
        break;
    case NVL_NODE_UVM_TOOLS:
        fixed = "/dev/nvidia-uvm-tools";
        node.major = majors->uvm;
        node.minor = 1;
        break;
    case NVL_NODE_CAP:
        snprintf(node.path, sizeof node.path, "/dev/nvidia-caps/nvidia-cap%u", minor);
        node.major = majors->caps;
        node.mode = minor == CAP_CONFIG ? 0400 : 0444;
        break;
    case NVL_NODE_OTHER:
        break;
    case NVL_NODE_DRI:
        snprintf(node.path, sizeof node.path, "/dev/dri/%s%u", render ? "renderD" : "card", minor);
        node.major = DRI_MAJOR;
        node.mode = 0;
        break;
    }
    if (fixed != NULL)
        snprintf(node.path, sizeof node.path, "%s", fixed);
    node.state = NVL_NODE_MISSING;
    node.found_major = node.found_minor = -1;
    return node;
}

static bool is_number(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

bool nvl_node_is_nvidias(const char *path)
{
    static const char *const fixed[] = {"/dev/nvidiactl", "/dev/nvidia-modeset", "/dev/nvidia-uvm",
                                        "/dev/nvidia-uvm-tools", "/dev/nvidia-caps"};
    static const char gpu[] = "/dev/nvidia", cap[] = "/dev/nvidia-caps/";

    size_t len = strlen(path);
    bool is_short = len > 0 && path[len - 1] == '*';

    for (size_t i = 0; i < NVL_LENGTH(fixed); i++)
        if (is_short ? strncmp(path, fixed[i], len - 1) == 0 : strcmp(path, fixed[i]) == 0)
            return nvl_has_prefix(path, gpu);
    return (nvl_has_prefix(path, gpu) && is_number(path + strlen(gpu))) || nvl_has_prefix(path, cap);
}

void nvl_node_check(const struct nvl_root *root, struct nvl_node *node)
{
    struct stat st;

    node->state = NVL_NODE_MISSING;
    node->found_major = node->found_minor = -1;
    node->found_mode = 0;
    if (nvl_root_stat(root, node->path, AT_SYMLINK_NOFOLLOW, &st) < 0)
        return;
    node->found_mode = st.st_mode & 07777;
    if (!S_ISCHR(st.st_mode)) {
        node->state = NVL_NODE_NOT_DEVICE;
        return;
    }
    node->found_major = (int)major(st.st_rdev);
    node->found_minor = (int)minor(st.st_rdev);
    if (node->found_major != node->major || node->found_minor != node->minor)
        node->state = NVL_NODE_STALE;
    else if ((node->found_mode & node->mode) != node->mode)
        node->state = NVL_NODE_MODE;
    else
        node->state = NVL_NODE_OK;
}

const char *nvl_node_state_name(enum nvl_node_state state)
{
    switch (state) {
    case NVL_NODE_OK:
        return "ok";
    case NVL_NODE_MISSING:
        return "missing";
    case NVL_NODE_NOT_DEVICE:
        return "not a device";
    case NVL_NODE_STALE:
        return "stale";
    case NVL_NODE_MODE:
        return "mode";
    }
    return "unknown";
}

/* Sources: the driver's README, chapters "Direct Rendering Manager", "GBM" and "Listing of Installed
 * Components"; the manuals of nvidia-modprobe, GPUDirect Storage, GDRCopy, Fabric Manager, IMEX and MIG. */
static const struct {
    const char *path;
    bool is_numbered; /* a number follows */
    const char *purpose;
} purposes[] = {
    {"/dev/nvidia", true, "a GPU"},
    {"/dev/nvidiactl", false, "control: every program opens it"},
    {"/dev/nvidia-uvm", false, "CUDA"},
    {"/dev/nvidia-uvm-tools", false, "CUDA's debuggers and profilers"},
    {"/dev/nvidia-modeset", false, "Vulkan, displays"},
    {"/dev/nvidia-caps/nvidia-cap1", false, "MIG: changes the devices"},
    {"/dev/nvidia-caps/nvidia-cap2", false, "MIG: monitors all devices"},
    {"/dev/nvidia-caps/nvidia-cap", true, "a MIG device"},
    {"/dev/dri/renderD", true, "OpenGL, EGL, Vulkan"},
    {"/dev/dri/card", true, "displays, X"},
    {"/dev/nvidia-caps-imex-channels/channel", true, "memory of other machines (IMEX)"},
    {"/dev/nvidia-fs", true, "GPUDirect Storage"},
    {"/dev/nvidia-nvlink", false, "NVLink"},
    {"/dev/nvidia-nvswitch", true, "an NVSwitch, for the fabric manager"},
    {"/dev/nvidia-nvswitchctl", false, "NVSwitch, for the fabric manager"},
    {"/dev/nvidia-vgpu", true, "a virtual GPU, for a virtual machine"},
    {"/dev/nvidia-vgpuctl", false, "virtual GPUs, for virtual machines"},
    {"/dev/gdrdrv", false, "GDRCopy"},
};

const char *nvl_node_purpose(const char *path)
{
    for (size_t i = 0; i < NVL_LENGTH(purposes); i++) {
        size_t len = strlen(purposes[i].path);
        if (strncmp(path, purposes[i].path, len) == 0 &&
            (purposes[i].is_numbered ? is_number(path + len) : path[len] == '\0'))
            return purposes[i].purpose;
    }
    return "unknown to nvlxc";
}

bool nvl_node_group(const struct nvl_root *rootfs, const char *path, const char **name, unsigned *gid)
{
    *name = "render";
    if (strstr(path, "/renderD") != NULL && nvl_group_find(rootfs, *name, gid))
        return true;
    *name = "video";
    return nvl_group_find(rootfs, *name, gid);
}
