/* Puts a grant's nodes and driver from the host into a root file system. */
#include "inject/inject.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/paths.h"
#include "base/sys.h"
#include "inject/bind.h"
#include "inject/cdi_file.h"
#include "inject/files.h"
#include "inject/home.h"
#include "inject/libc.h"
#include "inject/node_copies.h"

static void open_granted_nodes(struct nvl_injection *in, const char *container)
{
    nvl_auto(nvl_bind_folder_close) struct nvl_bind_folder folder = NVL_BIND_FOLDER_NONE;
    nvl_autofd int copies = nvl_node_copies_open(in->host->root, container);

    in->nodes = nvl_xcalloc(in->resolved.n_nodes + 1, sizeof *in->nodes);
    for (size_t i = 0; i < in->resolved.n_nodes; i++)
        in->nodes[i].fd = nvl_bind_open_node(in->host->root, copies, &folder, &in->resolved.nodes[i],
                                             &in->nodes[i].is_copy);
}

/* If the container has no such group, or its id is not mapped (EINVAL), only its root gets the node. */
void nvl_inject_give(const struct nvl_injection *in, const struct nvl_root *rootfs, nvl_gid_of *gid_of,
                     const void *data)
{
    const char *name;
    unsigned inside, gid;

    for (size_t i = 0; in->nodes != NULL && i < in->resolved.n_nodes; i++) {
        if (!in->nodes[i].is_copy || !nvl_node_group(rootfs, in->resolved.nodes[i].path, &name, &inside))
            continue;
        gid = inside;
        if (gid_of != NULL && !gid_of(data, inside, &gid))
            continue;
        if (fchownat(in->nodes[i].fd, "", (uid_t)-1, (gid_t)gid, AT_EMPTY_PATH) < 0 && errno != EINVAL)
            nvl_strv_pushf(&in->outcome->notes, "cannot give %s to the container's group %s: %s",
                           in->resolved.nodes[i].path, name, strerror(errno));
    }
}

/* Opens the bundle of the loaded module's version; the files of another do not work with it. */
static int open_loaded_bundle(struct nvl_injection *in)
{
    nvl_autofree char *path = nvl_xasprintf("%s/%s", NVL_BUNDLE_DIR, in->host->driver.version);
    int fd = nvl_root_openat(in->host->root, path, O_PATH | O_DIRECTORY | O_NOFOLLOW);

    if (fd < 0)
        return fd;
    nvl_root_from_fd(&in->bundle, fd, path);
    nvl_root_watch(&in->bundle, false);
    nvl_autofd int mount_fd = nvl_sys_clone_mount(fd, "");
    if (mount_fd < 0)
        return mount_fd;
    int r = nvl_sys_set_mount_flags(mount_fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    return r < 0 ? r : TAKE_FD(mount_fd);
}

/* Takes what others bring off the list. */
static void leave_nodes(struct nvl_injection *in)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv left = {0};
    size_t kept = 0;

    for (size_t i = 0; i < in->resolved.n_nodes; i++) {
        const struct nvl_node *node = &in->resolved.nodes[i];
        if (in->others_nodes != NULL && nvl_strv_contains(in->others_nodes, node->path))
            nvl_strv_push(&left, node->path + strlen("/dev/"));
        else
            in->resolved.nodes[kept++] = *node;
    }
    in->resolved.n_nodes = kept;
    if (left.count == 0)
        return;
    nvl_autofree char *names = nvl_strv_join(&left, " ");
    nvl_strv_pushf(&in->outcome->done, "Proxmox's dev[n] entries bring %s", names);
}

void nvl_inject_open(struct nvl_injection *in, const char *container, const struct nvl_host *host,
                     const struct nvl_grant *grant, struct nvl_outcome *outcome)
{
    in->host = host;
    in->grant = grant;
    in->outcome = outcome;
    in->bundle = NVL_ROOT_NONE;
    in->bundle_mount = -ENOENT;
    nvl_grant_resolve(grant, host, &in->resolved);
    leave_nodes(in);
    for (size_t i = 0; i < in->resolved.missing.count; i++)
        nvl_strv_push(&outcome->problems, in->resolved.missing.items[i]);
    if (in->binds_nodes)
        open_granted_nodes(in, container);
    if (grant->delivery.libraries == NVL_LIBRARIES_BUNDLE)
        in->bundle_mount = open_loaded_bundle(in);
    if (grant->delivery.cdi && nvl_cdi_file_read(host->root, container, &in->cdi) < 0)
        nvl_strv_push(&outcome->problems,
                      "no CDI specification was made for it: run 'nvlxc cdi' for it on the host");
    in->view_error = nvl_proc_view_make(&in->view, in->into_running, host, &in->resolved);
}

void nvl_inject_free(struct nvl_injection *in)
{
    in->bundle.fd = in->view.mount_fd = -1;
    in->view.n_mounts = 0;
    free(in->nodes);
    free(in->cdi);
    nvl_root_close(&in->bundle);
    nvl_proc_view_clear(&in->view);
    nvl_resolved_clear(&in->resolved);
}

void nvl_inject_close(struct nvl_injection *in)
{
    for (size_t i = 0; in->nodes != NULL && i < in->resolved.n_nodes; i++)
        nvl_close_ptr(&in->nodes[i].fd);
    nvl_close_ptr(&in->bundle_mount);
    nvl_root_close(&in->bundle);
    nvl_proc_view_clear(&in->view);
    nvl_inject_free(in);
}

static const char *node_problem(const struct nvl_node *node, int r)
{
    if (node->kind == NVL_NODE_UVM && (node->major < 0 || r == -ENOENT))
        return "is missing on the host: CUDA would fail with error 999; 'nvlxc host' tells why";
    if (node->major < 0)
        return "has no driver on the host";
    if (r == -ENODEV)
        return "is not the driver's device on the host: remove it, and nvlxc makes it again";
    if (r == -ENOENT)
        return "is missing on the host";
    if (r == -EEXIST)
        return "cannot be bound: something else exists there in the container";
    if (r == -EXDEV)
        return "cannot be bound: its folder in the container is a mount, which does not have it";
    return strerror(-r);
}

static void put_granted_nodes(struct nvl_injection *in, const struct nvl_root *rootfs)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv bound = {0};
    nvl_auto(nvl_bind_folder_close) struct nvl_bind_folder folder = NVL_BIND_FOLDER_NONE;

    for (size_t i = 0; i < in->resolved.n_nodes; i++) {
        const struct nvl_node *node = &in->resolved.nodes[i];
        int r = in->nodes[i].fd < 0
                    ? in->nodes[i].fd
                    : nvl_bind_put_node(rootfs, &folder, node, in->nodes[i].fd, in->into_running);
        if (r == 0 || (r > 0 && !in->into_running))
            nvl_strv_push(&bound, node->path + strlen("/dev/"));
        else if (r < 0)
            nvl_strv_pushf(&in->outcome->problems, "%s %s", node->path, node_problem(node, r));
    }
    if (bound.count > 0) {
        nvl_autofree char *names = nvl_strv_join(&bound, " ");
        nvl_strv_pushf(&in->outcome->done, "devices %s", names);
    }
}

/* Checks the nodes that the config's own mount entries have added by now. Proxmox adds its entries later, in
 * its autodev hook. */
static void look_for_nodes(const struct nvl_injection *in, const struct nvl_root *rootfs)
{
    for (size_t i = 0; i < in->resolved.n_nodes; i++)
        if (!nvl_bind_has_node(rootfs, &in->resolved.nodes[i]))
            nvl_strv_pushf(&in->outcome->problems,
                           "the config's mount entries did not add %s: run 'nvlxc show' and attach again",
                           in->resolved.nodes[i].path);
}

static int put_bundle(const struct nvl_injection *in, int mount_point)
{
    if (mount_point < 0 || in->bundle_mount < 0)
        return mount_point < 0 ? mount_point : in->bundle_mount;
    if (in->into_running && nvl_bind_is(mount_point, in->bundle.fd))
        return 1;
    return nvl_sys_move_mount(in->bundle_mount, mount_point);
}

static bool choose_home(struct nvl_injection *in, const struct nvl_root *rootfs)
{
    int errors[NVL_HOMES];

    in->home = nvl_home_choose(rootfs, errors);
    if (in->home == NULL)
        nvl_strv_pushf(&in->outcome->problems,
                       "cannot mount the driver at %s: it %s; nor at %s: it %s; see 'nvlxc doctor'",
                       nvl_homes[0], nvl_home_obstacle(errors[0]), nvl_homes[1],
                       nvl_home_obstacle(errors[1]));
    else if (in->home != nvl_homes[0])
        nvl_strv_pushf(&in->outcome->notes, "the driver is at %s: %s %s", in->home, nvl_homes[0],
                       nvl_home_obstacle(errors[0]));
    return in->home != NULL;
}

static void put_driver(struct nvl_injection *in, const struct nvl_root *rootfs)
{
    const char *version = in->host->driver.version;

    if (in->bundle.fd < 0) {
        nvl_strv_pushf(&in->outcome->problems,
                       "no driver bundle for %s (%s): run 'nvlxc driver sync' on the host", version,
                       strerror(-in->bundle_mount));
        return;
    }
    if (!choose_home(in, rootfs)) {
        nvl_root_close(&in->bundle); /* nothing to link then */
        return;
    }
    const struct nvl_entries_wanted wanted = {.capabilities = in->grant->capabilities, .bundle = &in->bundle};
    nvl_autofd int mount_point = nvl_entries_write(rootfs, in->home, &wanted, &in->outcome->notes);
    int r = put_bundle(in, mount_point);
    struct nvl_error err;
    if (nvl_root_trouble(&in->bundle, &err) < 0)
        nvl_strv_push(&in->outcome->problems, err.message);
    if (r < 0)
        nvl_strv_pushf(&in->outcome->problems, "cannot mount the driver at %s: %s", in->home, strerror(-r));
    else if (r == 0 || !in->into_running)
        nvl_strv_pushf(&in->outcome->done, "driver %s", version);
    if (r < 0)
        nvl_root_close(&in->bundle);
}

static void put_view(struct nvl_injection *in, const struct nvl_root *rootfs)
{
    if (in->into_running && nvl_proc_view_is_current(&in->view, rootfs))
        return;
    int r = in->view.mount_fd < 0 ? in->view_error : nvl_proc_view_put(&in->view, rootfs);
    if (r == 0 && in->view_error < 0)
        r = in->view_error;
    if (r < 0)
        nvl_strv_pushf(&in->outcome->notes, "cannot hide other GPUs in its /proc/driver/nvidia: %s",
                       strerror(-r));
    else if (r == 0 && in->into_running)
        nvl_strv_push(&in->outcome->done, "its view of " NVL_PROC_NVIDIA);
}

static void put_cdi(struct nvl_injection *in, const struct nvl_root *rootfs)
{
    int r = nvl_cdi_file_put(rootfs, in->home, in->cdi);

    if (r < 0)
        nvl_strv_pushf(&in->outcome->problems, "cannot write " NVL_CDI_FILE ": %s", strerror(-r));
    else if (r == 0)
        nvl_strv_push(&in->outcome->done, NVL_CDI_FILE);
}

void nvl_inject_put(struct nvl_injection *in, const struct nvl_root *rootfs)
{
    if (in->binds_nodes)
        put_granted_nodes(in, rootfs);
    else if (in->grant->delivery.nodes == NVL_NODES_STATIC)
        look_for_nodes(in, rootfs);
    if (in->grant->delivery.libraries == NVL_LIBRARIES_BUNDLE)
        put_driver(in, rootfs);
    put_view(in, rootfs);
    if (in->cdi != NULL)
        put_cdi(in, rootfs);
}

/* Says for which container ldconfig can do nothing, and why. A cache of another processor's programs would
 * lose what this one's ldconfig does not know. */
static bool needs_no_ldconfig(const struct nvl_injection *in, const struct nvl_root *rootfs)
{
    nvl_auto(nvl_libc_clear) struct nvl_libc libc = {0};

    nvl_libc_read(rootfs, &libc);
    if (libc.kind == NVL_LIBC_FOREIGN)
        nvl_strv_pushf(&in->outcome->problems,
                       "its programs are for another processor (%s), on which NVIDIA's driver of this host "
                       "does not run",
                       libc.machine);
    else if (libc.kind == NVL_LIBC_MUSL)
        nvl_strv_push(&in->outcome->problems,
                      "its C library is musl, which cannot load NVIDIA's driver (glibc only)");
    else if (libc.kind == NVL_LIBC_ELSEWHERE)
        nvl_strv_pushf(
            &in->outcome->notes,
            "its glibc has a place of its own (%s): set LD_LIBRARY_PATH=%s/lib64 (on NixOS, for "
            "programs not of Nix, name that folder to nix-ld), so that its programs find the driver",
            libc.loader, in->home);
    else if (!nvl_root_exists(rootfs, "/etc/ld.so.conf"))
        nvl_strv_pushf(&in->outcome->notes,
                       "it has no /etc/ld.so.conf: set LD_LIBRARY_PATH=%s/lib64, so that its programs find "
                       "the driver",
                       in->home);
    else
        return false;
    return true;
}

/* Up to now it has read lines of text; the linker's cache and the programs are more. */
static int confine_to(const struct nvl_root *rootfs, const struct nvl_ids *as, int ldconfig, int report)
{
    const int keep[] = {ldconfig, report};

    return nvl_confine(rootfs->fd, as->uid, as->gid, keep, NVL_LENGTH(keep));
}

void nvl_inject_link(struct nvl_injection *in, const struct nvl_root *rootfs, const struct nvl_ids *as,
                     int report)
{
    nvl_autofree char *sonames = NULL;
    struct nvl_strv *problems = &in->outcome->problems;
    struct nvl_error err;
    bool want_32 = (in->grant->capabilities & NVL_CAP_COMPAT32) != 0;
    size_t len;

    if (in->bundle.fd < 0)
        return;
    int r = nvl_root_read(&in->bundle, "/sonames", NVL_SONAMES_MAX, &sonames, &len);
    if (r < 0) {
        nvl_strv_pushf(problems, "the bundle %s is damaged, sonames: %s; run 'nvlxc driver sync'",
                       in->bundle.name, strerror(-r));
        return;
    }
    int ldconfig = nvl_ldconfig_open(in->host->root);
    r = confine_to(rootfs, as, ldconfig, report);
    if (r < 0)
        nvl_strv_pushf(problems, "cannot give up its rights, so it leaves the linker's cache as it is: %s",
                       strerror(-r));
    if (r < 0)
        return;
    nvl_ldconfig_sweep(rootfs);
    if (nvl_linker_is_current(rootfs, in->home, sonames, len, want_32) || needs_no_ldconfig(in, rootfs))
        return;
    if (ldconfig < 0)
        nvl_strv_pushf(problems,
                       "no ldconfig on the host (%s): set LD_LIBRARY_PATH=%s/lib64 in the container, "
                       "so that its programs find the driver",
                       strerror(-ldconfig), in->home);
    else if (nvl_ldconfig_run(rootfs, ldconfig, NULL, &err) < 0)
        nvl_strv_push(problems, err.message);
    else if (!nvl_linker_is_current(rootfs, in->home, sonames, len, want_32))
        nvl_strv_push(problems, "its linker cache does not include the bundle: does its /etc/ld.so.conf "
                                "include /etc/ld.so.conf.d?");
    else
        nvl_strv_push(&in->outcome->done, "linker cache refreshed");
}
