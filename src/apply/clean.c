/* Removes nvlxc's files from a root file system: detach undoes what attach and the hook did. The root file
 * system is reachable while its container is stopped: as a directory of this host, or on Proxmox's storages
 * through `pct mount`. */
#include "apply/clean.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "apply/eject.h"
#include "base/root.h"
#include "base/run.h"
#include "container/container.h"
#include "container/effective.h"
#include "container/grant_lines.h"
#include "container/idmap.h"
#include "container/rootfs_path.h"
#include "host/host.h"
#include "inject/files.h"
#include "inject/home.h"
#include "inject/linker.h"
#include "inject/node_copies.h"

/* The root file system of a stopped Proxmox CT whose disk is a volume of a storage (LVM, ZFS, Ceph, an image
 * file): `pct mount` mounts it, whatever the storage. Source: pct(1) of pve-container, which knows every
 * kind. */
struct pct_mount {
    const char *ctid;
    sigset_t signals; /* the caller's: no signal ends the program between mount and unmount */
};

/* Its exit status or a negative errno. The user sees its stderr (a task's warnings, why it failed), but not
 * the message that it mounted the CT. */
static int run_pct(const char *verb, const char *ctid)
{
    const char *const argv[] = {"pct", verb, ctid, NULL};
    const struct nvl_run run = {.argv = argv, .errors = NVL_STREAM_CALLERS};

    return nvl_run_status(&run);
}

static char *pct_failure(const char *verb, const char *ctid, int status)
{
    return status < 0 ? nvl_xasprintf("cannot run `pct %s %s`: %s", verb, ctid, strerror(-status))
                      : nvl_xasprintf("`pct %s %s` failed with status %d", verb, ctid, status);
}

/* A signal in between would leave the CT mounted and locked. */
static void hold_signals(sigset_t *before)
{
    sigset_t ending;

    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigprocmask(SIG_BLOCK, &ending, before);
}

/* Closes and unmounts it. If that fails, *why says what to do. */
static int unmount_with_pct(struct pct_mount *m, struct nvl_root *rootfs, char **why)
{
    nvl_root_close(rootfs);
    int r = run_pct("unmount", m->ctid);
    sigprocmask(SIG_SETMASK, &m->signals, NULL);
    if (r == 0)
        return 0;
    nvl_autofree char *what = pct_failure("unmount", m->ctid, r);
    *why = nvl_xasprintf("%s: it is still mounted and locked; run `pct unmount %s`", what, m->ctid);
    return r < 0 ? r : -EIO;
}

/* Opens the mounted root file system. While it is mounted the CT has Proxmox's `lock: mounted`. If it fails,
 * nothing is mounted, and *why says why; the caller frees it. */
static int mount_with_pct(struct pct_mount *m, const struct nvl_container *c, struct nvl_root *rootfs,
                          char **why)
{
    nvl_autofree char *path = nvl_xasprintf("%s/%s/rootfs", c->lxcpath, c->name);

    m->ctid = c->name;
    hold_signals(&m->signals);
    int r = run_pct("mount", c->name);
    if (r != 0) {
        *why = pct_failure("mount", c->name, r);
        sigprocmask(SIG_SETMASK, &m->signals, NULL);
        return r < 0 ? r : -EIO;
    }
    int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        nvl_root_from_fd(rootfs, fd, path);
        return 0;
    }
    r = -errno;
    *why = nvl_xasprintf("cannot open %s: %s", path, strerror(-r));
    nvl_autofree char *ignored = NULL;
    unmount_with_pct(m, rootfs, &ignored);
    return r;
}

/* What the grant injects may be there. */
static int out_of_reach(struct nvl_cleaned *cleaned, const struct nvl_effective *effective, char *why)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    bool is_granted = nvl_effective_grant(effective, &grant, NULL) > 0;

    nvl_entries_all(is_granted ? grant.capabilities : NVL_CAP_DEFAULT, &cleaned->remaining);
    cleaned->unreachable = true;
    cleaned->why = why;
    return 0;
}

/* Without /dev of its own (lxc.autodev = 0), the nodes were mounted on empty files of the root file system,
 * which stay when the container stops. */
static void clean_nodes_in(const struct nvl_host *host, const struct nvl_root *own, const char *folder,
                           bool dry_run, struct nvl_strv *removed)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_autofd int fd = nvl_root_openat(own, folder, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    size_t before = removed->count;
    struct stat st;

    if (fd < 0)
        return;
    nvl_root_list(own, folder, &names);
    for (size_t i = 0; i < names.count; i++)
        if (nvl_eject_names(host, folder, names.items[i]) &&
            fstatat(fd, names.items[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_size == 0 && (dry_run || unlinkat(fd, names.items[i], 0) == 0))
            nvl_strv_pushf(removed, "%s/%s", folder, names.items[i]);
    nvl_autofd int dev = removed->count > before && !dry_run && strcmp(folder, "/dev") != 0
                             ? nvl_root_openat(own, "/dev", O_PATH | O_DIRECTORY | O_NOFOLLOW)
                             : -1;
    if (dev >= 0) /* made for the nodes; it stays if it contains more */
        unlinkat(dev, strrchr(folder, '/') + 1, AT_REMOVEDIR);
}

static void clean_nodes(const struct nvl_root *root, const struct nvl_root *rootfs, bool dry_run,
                        struct nvl_strv *removed)
{
    static const char *const folders[] = {"/dev", "/dev/nvidia-caps", "/dev/dri"};
    const struct nvl_root own = nvl_root_own(rootfs);
    nvl_auto(nvl_host_clear) struct nvl_host host = {0};

    nvl_host_read(&host, root, NVL_GPUS_ALL, NULL); /* without it, only the names of /dev/dri are unknown */
    for (size_t i = 0; i < NVL_LENGTH(folders); i++)
        clean_nodes_in(&host, &own, folders[i], dry_run, removed);
}

static void refresh_linker(const struct nvl_root *root, const struct nvl_root *rootfs,
                           const struct nvl_idmap *map, struct nvl_cleaned *cleaned)
{
    struct nvl_error err = {0};
    nvl_autofd int ldconfig = nvl_ldconfig_open(root);
    uid_t uid = map->privileged ? (uid_t)-1 : map->uid0;
    gid_t gid = map->privileged ? (gid_t)-1 : map->gid0;

    if (ldconfig < 0)
        nvl_error_errno(&err, ldconfig, "cannot open the host's ldconfig");
    else
        nvl_ldconfig_run(rootfs, ldconfig, uid, gid, &err);
    if (err.code == 0)
        return;
    nvl_strv_push(&cleaned->remaining, "/etc/ld.so.cache");
    if (cleaned->why == NULL)
        cleaned->why = nvl_xasprintf("cannot rebuild its linker cache: %s", err.message);
}

static void remove_entries(const struct nvl_root *root, const struct nvl_root *rootfs,
                           const struct nvl_idmap *map, struct nvl_cleaned *cleaned)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) notes = {0};

    nvl_entries_elsewhere(rootfs, &cleaned->remaining);
    if (cleaned->remaining.count > 0)
        nvl_strv_push(&notes, "on a mount that others may share: remove it there once none uses it");
    size_t elsewhere = notes.count;
    nvl_entries_remove(rootfs, &cleaned->removed, &notes);
    if (notes.count > elsewhere)
        nvl_entries_list(rootfs, &cleaned->remaining);
    if (notes.count > 0)
        cleaned->why = nvl_strv_join(&notes, "; ");
    if (nvl_linker_names_bundle(rootfs))
        refresh_linker(root, rootfs, map, cleaned);
}

/* Two containers can have one root file system, or one the other's folder. */
static bool is_home_in_use(const struct nvl_root *root, const struct nvl_root *rootfs, pid_t init)
{
    const struct nvl_root own = nvl_root_own(rootfs);

    for (size_t i = 0; i < NVL_HOMES; i++)
        if (nvl_is_mounted_elsewhere(root, &own, nvl_homes[i], init))
            return true;
    return false;
}

bool nvl_clean_entries(const struct nvl_root *root, const struct nvl_root *rootfs, pid_t init,
                       const struct nvl_idmap *map, bool dry_run, struct nvl_cleaned *cleaned)
{
    if (is_home_in_use(root, rootfs, init)) {
        nvl_entries_list(rootfs, &cleaned->remaining);
        cleaned->why = nvl_xstrdup("another container that runs has its driver mounted there");
        return false;
    }
    if (dry_run)
        nvl_entries_list(rootfs, &cleaned->removed);
    else
        remove_entries(root, rootfs, map, cleaned);
    return true;
}

/* Where the container's mount maps the ids (idmap=container), its files belong to the host's root on the
 * disk. A running container could put a folder of the host's in the place of /etc: there this is not asked,
 * nor of a user's container. */
static bool is_owned_by_host(const struct nvl_container *c, const struct nvl_root *rootfs)
{
    struct stat st;

    return c->user == NULL && nvl_root_stat(rootfs, "/etc", 0, &st) == 0 && st.st_uid == 0;
}

static void clean_stopped(const struct nvl_root *root, const struct nvl_container *c,
                          const struct nvl_root *rootfs, const struct nvl_idmap *map, bool dry_run,
                          struct nvl_cleaned *cleaned)
{
    struct nvl_idmap on_disk = *map;

    on_disk.privileged = map->privileged || is_owned_by_host(c, rootfs);
    if (nvl_clean_entries(root, rootfs, 0, &on_disk, dry_run, cleaned))
        clean_nodes(root, rootfs, dry_run, &cleaned->removed);
}

/* Whether it is, on the machine itself, a Proxmox CT whose disk is not a directory. */
static bool is_for_pct(const struct nvl_root *root, const struct nvl_container *c,
                       const struct nvl_effective *effective)
{
    return c->kind == NVL_CONTAINER_PVE && nvl_root_is_machine(root) && nvl_rootfs_is_on_storage(effective);
}

static int clean_with_pct(const struct nvl_root *root, const struct nvl_container *c,
                          const struct nvl_effective *effective, const struct nvl_idmap *map,
                          struct nvl_cleaned *cleaned)
{
    struct nvl_root rootfs = NVL_ROOT_NONE; /* closed by unmount_with_pct */
    struct pct_mount mount;
    char *why = NULL;

    if (mount_with_pct(&mount, c, &rootfs, &why) < 0)
        return out_of_reach(cleaned, effective, why);
    if (nvl_container_is_running(root, c)) /* `lock: mounted` does not stop anyone from starting it */
        cleaned->running = true;
    else
        clean_stopped(root, c, &rootfs, map, false, cleaned);
    if (unmount_with_pct(&mount, &rootfs, &why) < 0) {
        nvl_strv_push(&cleaned->problems, why);
        free(why);
    }
    return cleaned->running ? out_of_reach(cleaned, effective, nvl_xstrdup("it is running")) : 0;
}

int nvl_clean_rootfs(const struct nvl_root *root, const struct nvl_container *c,
                     const struct nvl_effective *effective, bool dry_run, struct nvl_cleaned *cleaned,
                     struct nvl_error *err)
{
    char *why = NULL;
    struct nvl_idmap map;

    *cleaned = (struct nvl_cleaned){0};
    int r = nvl_idmap_read(effective, &map, err);
    if (r < 0)
        return r;
    bool is_running = nvl_container_is_running(root, c);
    if (!is_running && !dry_run && c->user == NULL)
        nvl_node_copies_remove(root, c->name);
    if (is_running) {
        cleaned->running = true;
        return out_of_reach(cleaned, effective, nvl_xstrdup("it is running"));
    }
    struct nvl_root nvl_auto(nvl_root_close) rootfs = NVL_ROOT_NONE;
    if (nvl_container_open_rootfs(root, c, effective, &map, &rootfs, &why) == 0) {
        clean_stopped(root, c, &rootfs, &map, dry_run, cleaned);
        return 0;
    }
    if (!is_for_pct(root, c, effective))
        return out_of_reach(cleaned, effective, why);
    free(why);
    if (dry_run)
        return out_of_reach(cleaned, effective,
                            nvl_xasprintf("`pct mount %s` is needed to see them", c->name));
    return clean_with_pct(root, c, effective, &map, cleaned);
}

void nvl_cleaned_clear(struct nvl_cleaned *cleaned)
{
    nvl_strv_clear(&cleaned->removed);
    nvl_strv_clear(&cleaned->remaining);
    nvl_strv_clear(&cleaned->problems);
    free(cleaned->why);
    *cleaned = (struct nvl_cleaned){0};
}
