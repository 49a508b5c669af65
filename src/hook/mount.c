/* What the hook does in the starting container: it puts the GPU's nodes and the driver there. */
#include "hook/hook.h"

#include <linux/capability.h>

#include "base/confine.h"
#include "base/root.h"
#include "container/list.h"
#include "host/host.h"
#include "inject/inject.h"
#include "inject/mapping_copy.h"

#define PASSTHROUGH_MAX (64u << 10)

/* Mounts, and files below folders of any owner and mode; node copies for the container's group; its own root
 * at the end. */
#define KEPT_CAPABILITIES                                                                                    \
    (1u << CAP_SYS_ADMIN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_CHOWN | 1u << CAP_SYS_CHROOT)

/* The nodes that Proxmox is about to bring: its pre-start hook writes down each dev[n] as
 * "c:195:0:/dev/nvidia0", for its autodev hook, which comes after the mount hooks and gives up the start if a
 * path exists already. So its entries, which may be newer than the grant, have precedence. */
static void read_passthrough(const struct nvl_hook_call *call, const struct nvl_root *root,
                             struct nvl_strv *paths)
{
    const char *line, *name = call->config != NULL ? strrchr(call->config, '/') : NULL;
    nvl_autofree char *text = NULL;
    size_t len, line_len, pos = 0;

    if (name == NULL || !nvl_has_prefix(call->config, NVL_LXC_DIR "/"))
        return;
    nvl_autofree char *file =
        nvl_xasprintf("%.*s/passthrough/devices", (int)(name - call->config), call->config);
    if (nvl_root_read(root, file, PASSTHROUGH_MAX, &text, &len) < 0)
        return;
    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        const char *path = memchr(line, '/', line_len);
        nvl_autofree char *copy = path != NULL ? nvl_xstrndup(path, line_len - (size_t)(path - line)) : NULL;
        if (copy != NULL)
            nvl_strv_push(paths, copy);
    }
}

static void mount_into(const struct nvl_hook_call *call, const struct nvl_root *root,
                       const struct nvl_root *rootfs, const struct nvl_host *host,
                       const struct nvl_grant *grant, struct nvl_outcome *outcome)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv others = {0};
    nvl_auto(nvl_inject_free) struct nvl_injection in = {
        .binds_nodes = call->delivery.nodes == NVL_NODES_HOOK, .others_nodes = &others};

    if (in.binds_nodes)
        read_passthrough(call, root, &others);
    nvl_inject_open(&in, call->container != NULL ? call->container : "", host, grant, outcome);
    nvl_inject_give(&in, rootfs, NULL, NULL);
    nvl_inject_put(&in, rootfs);
    nvl_inject_link(&in, rootfs, &(struct nvl_ids){(uid_t)-1, (gid_t)-1}, call->log);
}

/* For containers of root, the pre-start hook has opened each GPU that the grant can mean. A user's container
 * has its config elsewhere. */
static void mark_used(const struct nvl_hook_call *call, const struct nvl_grant *grant, struct nvl_gpus *gpus)
{
    if (call->config == NULL || !nvl_has_prefix(call->config, NVL_LXC_DIR "/"))
        return;
    for (size_t i = 0; i < gpus->count; i++)
        gpus->items[i].was_used =
            nvl_gpu_lacks_uuid(&gpus->items[i]) && nvl_grant_can_mean(grant, gpus, &gpus->items[i]);
}

void nvl_hook_mount(const struct nvl_hook_call *call, const struct nvl_root *root,
                    struct nvl_outcome *outcome)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_auto(nvl_root_close) struct nvl_root rootfs = NVL_ROOT_NONE;
    struct nvl_error err;

    if (nvl_grant_parse(&grant, call->devices, call->gpus, call->capabilities, &err) < 0) {
        nvl_strv_push(&outcome->problems, err.message);
        return;
    }
    if (grant.devices == NVL_DEVICES_VOID)
        return;
    int r = nvl_keep_capabilities(KEPT_CAPABILITIES);
    if (r < 0)
        nvl_strv_pushf(&outcome->notes, "cannot give up the rights that it does not need: %s", strerror(-r));
    grant.delivery = call->delivery;
    if (call->rootfs_mount == NULL || nvl_root_open(&rootfs, call->rootfs_mount, &err) < 0) {
        nvl_strv_push(&outcome->problems,
                      call->rootfs_mount == NULL ? "LXC_ROOTFS_MOUNT is not set" : err.message);
        return;
    }
    nvl_root_watch(&rootfs, false);
    if (nvl_host_read(&host, root, nvl_grant_depth(&grant), &err) < 0) {
        nvl_strv_push(&outcome->problems, err.message);
        return;
    }
    if (!host.driver.loaded || host.driver.version[0] == '\0') {
        nvl_strv_push(&outcome->problems,
                      "NVIDIA's kernel module is not loaded on the host: see 'nvlxc host'");
        return;
    }
    nvl_autofree char *mappings = call->container != NULL ? nvl_mapping_copy_path(call->container) : NULL;
    host.mappings = mappings != NULL ? mappings : "";
    mark_used(call, &grant, &host.gpus);
    mount_into(call, root, &rootfs, &host, &grant, outcome);
    if (nvl_root_trouble(&rootfs, &err) < 0)
        nvl_strv_push(&outcome->problems, err.message);
}
