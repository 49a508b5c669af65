/* Decides by the grant, and by what the running container has of it. */
#include "container/gpu_use.h"

#include <fcntl.h>

#include "base/root.h"
#include "container/rootfs_path.h"
#include "container/state.h"
#include "grant/resolve.h"
#include "host/gpu_state.h"

/* A container may have got its grant after its start: then it has none of the driver's nodes. If that is not
 * visible, as on a captured host, it counts as started with the grant. */
static bool was_started_with_grant(const struct nvl_root *root, const struct nvl_container *c)
{
    nvl_auto(nvl_root_close) struct nvl_root rootfs = NVL_ROOT_NONE;
    struct nvl_error ignored;
    struct stat st;

    if (!nvl_container_is_running(root, c))
        return false;
    if (!nvl_root_is_machine(root))
        return true;
    pid_t init = nvl_container_init(root, c, &ignored);
    return init > 0 && nvl_container_open_running(c, init, &rootfs) == 0 &&
           nvl_root_stat(&rootfs, "/dev/nvidiactl", AT_SYMLINK_NOFOLLOW, &st) == 0 && S_ISCHR(st.st_mode);
}

bool nvl_mark_gpus_used(const struct nvl_root *root, const struct nvl_container *c,
                        const struct nvl_grant *grant, struct nvl_gpus *gpus)
{
    bool is_any = false;

    for (size_t i = 0; i < gpus->count; i++) {
        struct nvl_gpu *gpu = &gpus->items[i];
        if (nvl_gpu_state(gpu) != NVL_GPU_IS_UNUSED || !nvl_grant_can_mean(grant, gpus, gpu) ||
            !was_started_with_grant(root, c))
            continue;
        gpu->was_used = true;
        is_any = true;
    }
    return is_any;
}
