/* Rules for a running container's device filter. */
#include "apply/device_filter.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apply/eject.h"
#include "base/run.h"
#include "container/state.h"

bool nvl_filter_in_force(const struct nvl_root *root, pid_t init)
{
    nvl_autofree char *group = nvl_process_cgroup(root, init);
    nvl_autofree char *path = nvl_xasprintf("/sys/fs/cgroup%s", group != NULL ? group : "");
    nvl_autofd int fd = nvl_root_openat(root, path, O_RDONLY | O_DIRECTORY);
    union bpf_attr query = {0};

    if (group == NULL || fd < 0)
        return false;
    query.query.target_fd = (unsigned)fd;
    query.query.attach_type = BPF_CGROUP_DEVICE;
    query.query.query_flags = BPF_F_QUERY_EFFECTIVE;
    return syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof query) == 0 && query.query.prog_cnt > 0;
}

void nvl_rules_change(const struct nvl_container *c, const char *verb, const struct nvl_device *devices,
                      size_t count, struct nvl_strv *problems)
{
    nvl_autofree char *key = nvl_xasprintf("devices.%s", verb);
    char text[256];

    for (size_t i = 0; i < count; i++) {
        nvl_autofree char *rule = nvl_xasprintf("c %u:%u rw", devices[i].major, devices[i].minor);
        const char *const argv[] = {"lxc-cgroup", "-P", c->lxcpath, "-n", c->name, key, rule, NULL};
        int r = nvl_tool_run(argv, NVL_TOOL_SECONDS, text, sizeof text);
        if (r != 0)
            nvl_strv_pushf(problems,
                           "its device filter was not changed for %s (lxc-cgroup %s \"%s\": status %d)",
                           devices[i].path, key, rule, r);
    }
}
