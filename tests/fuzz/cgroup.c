/* What the kernel says of a process: its cgroup, whose names a container chooses below its own, its mounts,
 * and the sockets of running containers. */
#include "apply/in_use.c"

#include "fuzz.h"

#include "container/state.h"

static void check_container(const char *cgroup)
{
    static struct nvl_containers all;

    if (all.count == 0) {
        nvl_containers_add_folder(&all, NVL_CONTAINER_PVE, "/etc/pve/lxc", NULL, NULL);
        nvl_containers_add_ct(&all, 220);
        nvl_containers_add_folder(&all, NVL_CONTAINER_LXC, NVL_LXC_DIR, NULL, NULL);
        nvl_containers_add_lxc(&all, "web");
        nvl_containers_sort(&all);
    }
    nvl_autofree struct nvl_container *c = nvl_container_of_cgroup(&all, cgroup);
    CHECK(c == NULL || strcmp(c->name, "web") == 0 || strcmp(c->name, "220") == 0);
}

static void check_running(void)
{
    static const struct nvl_container c = {.kind = NVL_CONTAINER_LXC,
                                           .name = "web",
                                           .lxc_name = "web",
                                           .lxcpath = NVL_LXC_DIR,
                                           .config_path = NVL_LXC_DIR "/web/config"};
    nvl_auto(nvl_running_clear) struct nvl_running running = {0};

    nvl_running_read(fuzz_root(), &running);
    CHECK(nvl_running_has(&running, &c) == nvl_container_is_running(fuzz_root(), &c));
}

void fuzz_one(const char *data, size_t len)
{
    static const char *const files[] = {"/proc/7/cgroup", "/proc/7/mountinfo", "/proc/net/unix"};
    struct fuzz_input in = {data, len};
    nvl_auto(mount_table_clear) struct mount_table table = {0};

    for (size_t i = 0; i < NVL_LENGTH(files); i++) {
        size_t file_len;
        nvl_autofree char *file = fuzz_bytes(&in, &file_len);
        fuzz_put(files[i], file, file_len);
    }
    nvl_autofree char *cgroup = nvl_process_cgroup(fuzz_root(), 7);
    if (cgroup != NULL) {
        CHECK(cgroup[0] == '/' && strstr(cgroup, "/..") == NULL);
        check_container(cgroup);
    }
    read_mount_table(fuzz_root(), "7", &table);
    for (size_t i = 0; i < table.count; i++)
        CHECK(table.lines[i].point != NULL && strchr(table.lines[i].id, ' ') == NULL);
    check_running();
}
