/* A grant's nodes and driver, from the host into a root file system. */
#include "inject/inject.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/sys.h"
#include "inject/bind.h"
#include "inject/files.h"
#include "inject/linker.h"
#include "inject/node_copies.h"

static void open_nodes(struct nvl_bring *b, const char *container)
{
    nvl_auto(nvl_bind_folder_close) struct nvl_bind_folder folder = NVL_BIND_FOLDER_NONE;
    nvl_autofd int own = nvl_own_nodes_open(b->host->root, container);

    b->nodes = nvl_xcalloc(b->resolved.n_nodes + 1, sizeof *b->nodes);
    for (size_t i = 0; i < b->resolved.n_nodes; i++)
        b->nodes[i].fd =
            nvl_bind_open_node(b->host->root, own, &folder, &b->resolved.nodes[i], &b->nodes[i].is_own);
}

/* Where it has no such group, or one that its ids do not reach, its root alone has the node. */
void nvl_bring_give(const struct nvl_bring *b, const struct nvl_root *rootfs, nvl_gid_of *gid_of,
                    const void *data)
{
    const char *name;
    unsigned inside, gid;

    for (size_t i = 0; b->nodes != NULL && i < b->resolved.n_nodes; i++) {
        if (!b->nodes[i].is_own || !nvl_own_node_group(rootfs, &b->resolved.nodes[i], &name, &inside))
            continue;
        gid = inside;
        if (gid_of == NULL || gid_of(data, inside, &gid))
            (void)!fchownat(b->nodes[i].fd, "", (uid_t)-1, (gid_t)gid, AT_EMPTY_PATH);
    }
}

/* The folder of the loaded module's version; its files fit no other. */
static int open_bundle(struct nvl_bring *b)
{
    nvl_autofree char *path = nvl_xasprintf("%s/%s", NVL_BUNDLE_DIR, b->host->driver.version);
    int fd = nvl_root_openat(b->host->root, path, O_PATH | O_DIRECTORY | O_NOFOLLOW);

    if (fd < 0)
        return fd;
    nvl_root_from_fd(&b->bundle, fd, path);
    nvl_autofd int mount_fd = nvl_sys_clone_mount(fd, "");
    if (mount_fd < 0)
        return mount_fd;
    int r = nvl_sys_set_mount_flags(mount_fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    return r < 0 ? r : TAKE_FD(mount_fd);
}

void nvl_bring_open(struct nvl_bring *b, const char *container, const struct nvl_host *host,
                    const struct nvl_grant *grant, struct nvl_report *report)
{
    b->host = host;
    b->grant = grant;
    b->report = report;
    b->bundle = NVL_ROOT_NONE;
    b->bundle_mount = -ENOENT;
    nvl_grant_resolve(grant, host, &b->resolved);
    for (size_t i = 0; i < b->resolved.missing.count; i++)
        nvl_strv_push(&report->problems, b->resolved.missing.items[i]);
    if (b->binds_nodes)
        open_nodes(b, container);
    if (grant->delivery.libraries == NVL_LIBRARIES_BUNDLE)
        b->bundle_mount = open_bundle(b);
    b->view_error = nvl_proc_view_make(&b->view, b->into_running, host, &b->resolved);
}

void nvl_bring_free(struct nvl_bring *b)
{
    b->bundle.fd = b->view.mount_fd = -1;
    b->view.n_mounts = 0;
    free(b->nodes);
    nvl_root_close(&b->bundle);
    nvl_proc_view_clear(&b->view);
    nvl_resolved_clear(&b->resolved);
}

void nvl_bring_close(struct nvl_bring *b)
{
    for (size_t i = 0; b->nodes != NULL && i < b->resolved.n_nodes; i++)
        nvl_close_ptr(&b->nodes[i].fd);
    nvl_close_ptr(&b->bundle_mount);
    nvl_root_close(&b->bundle);
    nvl_proc_view_clear(&b->view);
    nvl_bring_free(b);
}

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

static void put_nodes(struct nvl_bring *b, const struct nvl_root *rootfs)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv bound = {0};
    nvl_auto(nvl_bind_folder_close) struct nvl_bind_folder folder = NVL_BIND_FOLDER_NONE;

    for (size_t i = 0; i < b->resolved.n_nodes; i++) {
        const struct nvl_node *node = &b->resolved.nodes[i];
        int r =
            b->nodes[i].fd < 0 ? b->nodes[i].fd : nvl_bind_put_node(rootfs, &folder, node, b->nodes[i].fd);
        if (r == 0 || (r > 0 && !b->into_running))
            nvl_strv_push(&bound, node->path + strlen("/dev/"));
        else if (r < 0)
            nvl_strv_pushf(&b->report->problems, "%s %s", node->path, node_problem(node, r));
    }
    if (bound.count > 0) {
        nvl_autofree char *names = nvl_strv_join(&bound, " ");
        nvl_strv_pushf(&b->report->done, "devices %s", names);
    }
}

/* Nodes that the config's own mount entries have brought by now. Proxmox's come later, in its autodev hook.
 */
static void look_for_nodes(const struct nvl_bring *b, const struct nvl_root *rootfs)
{
    for (size_t i = 0; i < b->resolved.n_nodes; i++)
        if (!nvl_bind_has_node(rootfs, &b->resolved.nodes[i]))
            nvl_strv_pushf(
                &b->report->problems,
                "%s was not brought by the config's mount entries: run 'nvlxc show' and attach again",
                b->resolved.nodes[i].path);
}

static int put_bundle(const struct nvl_bring *b, int mount_point)
{
    if (mount_point < 0 || b->bundle_mount < 0)
        return mount_point < 0 ? mount_point : b->bundle_mount;
    if (b->into_running && nvl_bind_is(mount_point, b->bundle.fd))
        return 1;
    return nvl_sys_move_mount(b->bundle_mount, mount_point);
}

static void put_driver(struct nvl_bring *b, const struct nvl_root *rootfs)
{
    const char *version = b->host->driver.version;

    if (b->bundle.fd < 0) {
        nvl_strv_pushf(&b->report->problems,
                       "no driver bundle for %s (%s): run 'nvlxc driver sync' on the host", version,
                       strerror(-b->bundle_mount));
        return;
    }
    const struct nvl_entries_wanted wanted = {.capabilities = b->grant->capabilities, .bundle = &b->bundle};
    nvl_autofd int mount_point = nvl_entries_write(rootfs, &wanted, &b->report->notes);
    int r = put_bundle(b, mount_point);
    if (r < 0)
        nvl_strv_pushf(&b->report->problems, "cannot mount the driver at " NVL_MOUNT_POINT ": %s",
                       strerror(-r));
    else if (r == 0 || !b->into_running)
        nvl_strv_pushf(&b->report->done, "driver %s", version);
    if (r < 0)
        nvl_root_close(&b->bundle); /* then there is nothing to link */
}

static void put_view(struct nvl_bring *b, const struct nvl_root *rootfs)
{
    if (b->into_running && nvl_proc_view_is_current(&b->view, rootfs))
        return;
    int r = b->view.mount_fd < 0 ? b->view_error : nvl_proc_view_put(&b->view, rootfs);
    if (r == 0 && b->view_error < 0)
        r = b->view_error;
    if (r < 0)
        nvl_strv_pushf(&b->report->notes, "cannot hide other GPUs in its /proc/driver/nvidia: %s",
                       strerror(-r));
    else if (r == 0 && b->into_running)
        nvl_strv_push(&b->report->done, "its view of " NVL_PROC_NVIDIA);
}

void nvl_bring_put(struct nvl_bring *b, const struct nvl_root *rootfs)
{
    if (b->binds_nodes)
        put_nodes(b, rootfs);
    else if (b->grant->delivery.nodes == NVL_NODES_STATIC)
        look_for_nodes(b, rootfs);
    if (b->grant->delivery.libraries == NVL_LIBRARIES_BUNDLE)
        put_driver(b, rootfs);
    put_view(b, rootfs);
}

/* A container that ldconfig can do nothing for, and why. */
static bool needs_no_ldconfig(const struct nvl_bring *b, const struct nvl_root *rootfs)
{
    bool is_musl = nvl_linker_is_musl(rootfs), has_conf = nvl_root_exists(rootfs, "/etc/ld.so.conf");

    if (is_musl)
        nvl_strv_push(&b->report->problems,
                      "its C library is musl, which cannot load NVIDIA's driver (glibc only)");
    else if (!has_conf)
        nvl_strv_push(&b->report->notes, "no /etc/ld.so.conf in it: its programs find the driver by "
                                         "LD_LIBRARY_PATH=" NVL_MOUNT_POINT "/lib64");
    return is_musl || !has_conf;
}

void nvl_bring_link(struct nvl_bring *b, const struct nvl_root *rootfs, uid_t uid, gid_t gid)
{
    nvl_autofree char *sonames = NULL;
    struct nvl_strv *problems = &b->report->problems;
    struct nvl_error err;
    bool want_32 = (b->grant->capabilities & NVL_CAP_COMPAT32) != 0;
    size_t len;

    if (b->bundle.fd < 0)
        return;
    int r = nvl_root_read(&b->bundle, "/sonames", NVL_SONAMES_MAX, &sonames, &len);
    if (r < 0) {
        nvl_strv_pushf(problems, "the bundle %s is damaged, sonames: %s; run 'nvlxc driver sync'",
                       b->bundle.name, strerror(-r));
        return;
    }
    if (nvl_linker_is_current(rootfs, sonames, len, want_32) || needs_no_ldconfig(b, rootfs))
        return;
    nvl_autofd int ldconfig = nvl_ldconfig_open(b->host->root);
    if (ldconfig < 0)
        nvl_strv_pushf(problems,
                       "no static ldconfig on the host (%s): its programs find the driver "
                       "by LD_LIBRARY_PATH=" NVL_MOUNT_POINT "/lib64",
                       strerror(-ldconfig));
    else if (nvl_ldconfig_run(rootfs, ldconfig, uid, gid, &err) < 0)
        nvl_strv_push(problems, err.message);
    else if (!nvl_linker_is_current(rootfs, sonames, len, want_32))
        nvl_strv_push(problems, "its linker cache does not take the bundle: does its /etc/ld.so.conf "
                                "include /etc/ld.so.conf.d?");
    else
        nvl_strv_push(&b->report->done, "linker cache refreshed");
}
