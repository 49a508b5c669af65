/* The mount hook: the GPU's nodes and the driver, into the container that is being started. */
#include "container/list.h"
#include "hook/hook.h"
#include "inject/inject.h"

static void mount_into(const struct nvl_hook_call *call, const struct nvl_root *rootfs,
                       const struct nvl_host *host, const struct nvl_grant *grant, struct nvl_report *report)
{
    nvl_auto(nvl_bring_free) struct nvl_bring bring = {.binds_nodes = call->delivery.nodes == NVL_NODES_HOOK};

    nvl_bring_open(&bring, call->container != NULL ? call->container : "", host, grant, report);
    nvl_bring_give(&bring, rootfs, NULL, NULL);
    nvl_bring_put(&bring, rootfs);
    nvl_bring_link(&bring, rootfs, (uid_t)-1, (gid_t)-1);
}

/* The pre-start hook has opened each GPU without a UUID, where it was root's: a user's container has its
 * config elsewhere. */
static bool has_used_gpus(const struct nvl_hook_call *call)
{
    return call->config != NULL && nvl_has_prefix(call->config, NVL_LXC_DIR "/");
}

void nvl_hook_mount(const struct nvl_hook_call *call, const struct nvl_root *root, struct nvl_report *report)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};
    nvl_auto(nvl_root_close) struct nvl_root rootfs = NVL_ROOT_NONE;
    struct nvl_error err;

    if (nvl_grant_parse(&grant, call->devices, call->capabilities, &err) < 0) {
        nvl_strv_push(&report->problems, err.message);
        return;
    }
    if (grant.devices == NVL_DEVICES_VOID)
        return;
    grant.delivery = call->delivery;
    if (call->rootfs_mount == NULL || nvl_root_open(&rootfs, call->rootfs_mount, &err) < 0) {
        nvl_strv_push(&report->problems,
                      call->rootfs_mount == NULL ? "LXC_ROOTFS_MOUNT is not set" : err.message);
        return;
    }
    if (nvl_host_read(&host, root, nvl_grant_depth(&grant), &err) < 0) {
        nvl_strv_push(&report->problems, err.message);
        return;
    }
    if (!host.driver.loaded || host.driver.version[0] == '\0') {
        nvl_strv_push(&report->problems,
                      "NVIDIA's kernel module is not loaded on the host: see 'nvlxc host'");
        return;
    }
    if (has_used_gpus(call))
        nvl_gpus_mark_used(&host.gpus);
    mount_into(call, &rootfs, &host, &grant, report);
}
