/* The mount hook: the GPU's nodes and the driver, into the container that is being started. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/sys.h"
#include "grant/resolve.h"
#include "hook/bind.h"
#include "hook/hook.h"
#include "hook/proc.h"
#include "rootfs/entries.h"
#include "rootfs/linker.h"
#include "rootfs/own_nodes.h"

#define SONAMES_MAX (64u << 10)

struct mounting {
    const char *container;
    const struct nvl_root *host, *rootfs;
    const struct nvl_grant *grant;
    struct nvl_report *report;
};

static const char *node_problem(const struct nvl_node *node, int r)
{
    if (node->kind == NVL_NODE_UVM && (node->major < 0 || r == -ENOENT))
        return "is missing on the host: CUDA would fail with error 999; load nvidia-uvm";
    if (node->major < 0)
        return "has no driver on the host";
    if (r == -ENODEV)
        return "is not the driver's device on the host: remove it, so that it is made again";
    if (r == -ENOENT)
        return "is missing on the host";
    if (r == -EEXIST)
        return "cannot be bound: something else stands there in the container";
    return strerror(-r);
}

static void bind_nodes(const struct mounting *m, const struct nvl_resolved *resolved)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv bound = {0};
    nvl_auto(nvl_bind_folder_close) struct nvl_bind_folder folder = NVL_BIND_FOLDER_NONE;
    nvl_autofd int own = nvl_own_nodes_open(m->host, m->container);

    for (size_t i = 0; i < resolved->n_nodes; i++) {
        const struct nvl_node *node = &resolved->nodes[i];
        int r = nvl_bind_node(m->host, own, m->rootfs, &folder, node);
        if (r >= 0)
            nvl_strv_push(&bound, node->path + strlen("/dev/"));
        else
            nvl_strv_pushf(&m->report->problems, "%s %s", node->path, node_problem(node, r));
    }
    if (bound.count > 0) {
        nvl_autofree char *names = nvl_strv_join(&bound, " ");
        nvl_strv_pushf(&m->report->done, "devices %s", names);
    }
}

/* Nodes that the config's own mount entries have brought by now. Proxmox's come later, in its autodev hook.
 */
static void look_for_nodes(const struct mounting *m, const struct nvl_resolved *resolved)
{
    for (size_t i = 0; i < resolved->n_nodes; i++)
        if (!nvl_bind_has_node(m->rootfs, &resolved->nodes[i]))
            nvl_strv_pushf(
                &m->report->problems,
                "%s was not brought by the config's mount entries: run 'nvlxc show' and attach again",
                resolved->nodes[i].path);
}

/* The folder of the loaded module's version; its files fit no other. */
static int open_bundle(const struct mounting *m, const char *version, struct nvl_root *bundle)
{
    nvl_autofree char *path = nvl_xasprintf("%s/%s", NVL_BUNDLE_DIR, version);
    int fd = nvl_root_openat(m->host, path, O_PATH | O_DIRECTORY | O_NOFOLLOW);

    if (fd < 0)
        return fd;
    nvl_root_from_fd(bundle, fd, path);
    return 0;
}

static int mount_bundle(const struct nvl_root *bundle, int mount_point)
{
    if (mount_point < 0)
        return mount_point;
    nvl_autofd int mount_fd = nvl_sys_clone_mount(bundle->fd, "");
    if (mount_fd < 0)
        return mount_fd;
    int r = nvl_sys_set_mount_flags(mount_fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    return r < 0 ? r : nvl_sys_move_mount(mount_fd, mount_point);
}

/* A container that ldconfig can do nothing for, and why. */
static bool needs_no_ldconfig(const struct mounting *m)
{
    bool is_musl = nvl_linker_is_musl(m->rootfs), has_conf = nvl_root_exists(m->rootfs, "/etc/ld.so.conf");

    if (is_musl)
        nvl_strv_push(&m->report->problems,
                      "its C library is musl, which cannot load NVIDIA's driver (glibc only)");
    else if (!has_conf)
        nvl_strv_push(&m->report->notes, "no /etc/ld.so.conf in it: its programs find the driver by "
                                         "LD_LIBRARY_PATH=" NVL_MOUNT_POINT "/lib64");
    return is_musl || !has_conf;
}

/* Runs ldconfig only where the container's cache does not give the bundle's files yet. */
static void refresh_linker(const struct mounting *m, const struct nvl_root *bundle)
{
    nvl_autofree char *sonames = NULL;
    struct nvl_error err;
    bool want_32 = (m->grant->capabilities & NVL_CAP_COMPAT32) != 0;
    size_t len;

    int r = nvl_root_read(bundle, "/sonames", SONAMES_MAX, &sonames, &len);
    if (r < 0) {
        nvl_strv_pushf(&m->report->problems, "the bundle %s is damaged, sonames: %s; run 'nvlxc driver sync'",
                       bundle->name, strerror(-r));
        return;
    }
    if (nvl_linker_is_current(m->rootfs, sonames, len, want_32) || needs_no_ldconfig(m))
        return;
    nvl_autofd int ldconfig = nvl_ldconfig_open(m->host);
    if (ldconfig < 0)
        nvl_strv_pushf(&m->report->problems,
                       "no static ldconfig on the host (%s): its programs find the driver "
                       "by LD_LIBRARY_PATH=" NVL_MOUNT_POINT "/lib64",
                       strerror(-ldconfig));
    else if (nvl_ldconfig_run(m->rootfs, ldconfig, (uid_t)-1, (gid_t)-1, &err) < 0)
        nvl_strv_push(&m->report->problems, err.message);
    else if (!nvl_linker_is_current(m->rootfs, sonames, len, want_32))
        nvl_strv_push(&m->report->problems,
                      "its linker cache does not take the bundle: does its /etc/ld.so.conf "
                      "include /etc/ld.so.conf.d?");
    else
        nvl_strv_push(&m->report->done, "linker cache refreshed");
}

static void install_driver(const struct mounting *m, const char *version)
{
    nvl_auto(nvl_root_close) struct nvl_root bundle = NVL_ROOT_NONE;

    int r = open_bundle(m, version, &bundle);
    if (r < 0) {
        nvl_strv_pushf(&m->report->problems,
                       "no driver bundle for %s (%s): run 'nvlxc driver sync' on the host", version,
                       strerror(-r));
        return;
    }
    const struct nvl_entries_wanted wanted = {.capabilities = m->grant->capabilities, .bundle = &bundle};
    nvl_autofd int mount_point = nvl_entries_write(m->rootfs, &wanted, &m->report->notes);
    r = mount_bundle(&bundle, mount_point);
    if (r < 0) {
        nvl_strv_pushf(&m->report->problems, "cannot mount the driver at " NVL_MOUNT_POINT ": %s",
                       strerror(-r));
        return;
    }
    nvl_strv_pushf(&m->report->done, "driver %s", version);
    refresh_linker(m, &bundle);
}

static void mount_into(const struct mounting *m, const struct nvl_host *host)
{
    nvl_auto(nvl_resolved_clear) struct nvl_resolved resolved = {0};

    nvl_grant_resolve(m->grant, host, &resolved);
    for (size_t i = 0; i < resolved.missing.count; i++)
        nvl_strv_push(&m->report->problems, resolved.missing.items[i]);
    if (m->grant->nodes == NVL_NODES_HOOK)
        bind_nodes(m, &resolved);
    else if (m->grant->nodes == NVL_NODES_STATIC)
        look_for_nodes(m, &resolved);
    if (m->grant->libraries == NVL_LIBRARIES_BUNDLE)
        install_driver(m, host->driver.version);
    int r = nvl_proc_mount(host, m->rootfs, &resolved);
    if (r < 0)
        nvl_strv_pushf(&m->report->notes, "cannot hide other GPUs in its /proc/driver/nvidia: %s",
                       strerror(-r));
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
    grant.nodes = call->nodes;
    grant.libraries = call->libraries;
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
    const struct mounting m = {call->container != NULL ? call->container : "", root, &rootfs, &grant, report};
    mount_into(&m, &host);
}
