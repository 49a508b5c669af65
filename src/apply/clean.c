/* Removes nvlxc's files from a root file system: detach undoes what attach and the hook did. The root file
 * system is reachable while its container is stopped: as a directory of this host, or on Proxmox's storages
 * through `pct mount`. */
#include "apply/clean.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/file.h"
#include "apply/eject.h"
#include "base/paths.h"
#include "base/root.h"
#include "base/run.h"
#include "base/visit.h"
#include "container/container.h"
#include "container/effective.h"
#include "container/grant_lines.h"
#include "container/idmap.h"
#include "container/rootfs_path.h"
#include "host/host.h"
#include "inject/cdi_file.h"
#include "inject/files.h"
#include "inject/home.h"
#include "inject/linker.h"
#include "inject/mapping_copy.h"
#include "inject/node_copies.h"

/* The root file system of a stopped Proxmox CT whose disk is a volume of a storage (LVM, ZFS, Ceph, an image
 * file): `pct mount` mounts it, whatever the storage. Source: pct(1) of pve-container, which knows every
 * kind. */
struct pct_mount {
    const char *ctid;
    sigset_t signals; /* the caller's: no signal ends the program between mount and unmount */
};

#define PCT_SAID_MAX (64u << 10)

static void show_errors(void *data, const char *bytes, size_t len)
{
    (void)data;
    nvl_fd_write(STDERR_FILENO, bytes, len);
}

/* Its exit status or a negative errno. The user sees its stderr (a task's warnings, why it failed), but not
 * the message that it mounted the CT. *is_others_lock (may be NULL): it refused because of another's lock. */
static int run_pct(const char *verb, const char *ctid, bool *is_others_lock)
{
    const char *const argv[] = {"pct", verb, ctid, NULL};
    const struct nvl_run run = {
        .argv = argv, .errors = NVL_STREAM_TAKEN, .max = PCT_SAID_MAX, .pass_on = show_errors};
    nvl_auto(nvl_run_result_clear) struct nvl_run_result result = {0};
    int r = nvl_run(&run, &result);

    if (is_others_lock != NULL) /* "CT is locked (backup)" */
        *is_others_lock = r == 0 && strstr(result.text, "is locked (") != NULL;
    return r < 0 ? r : nvl_exit_status(result.status);
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
    int r = run_pct("unmount", m->ctid, NULL);
    sigprocmask(SIG_SETMASK, &m->signals, NULL);
    if (r == 0)
        return 0;
    nvl_autofree char *what = pct_failure("unmount", m->ctid, r);
    *why = nvl_xasprintf("%s: it is still mounted and locked; run `pct unmount %s`", what, m->ctid);
    return r < 0 ? r : -EIO;
}

/* The lock in the CT's config now, NULL for none; the caller frees. */
static char *read_lock(const struct nvl_root *root, const struct nvl_container *c)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    const char *lock =
        nvl_container_read_config(root, c, &config, NULL) == 0 ? nvl_config_get(&config, "lock") : NULL;

    return lock != NULL ? nvl_xstrdup(lock) : NULL;
}

static bool is_left_locked(const struct nvl_root *root, const struct nvl_container *c)
{
    nvl_autofree char *lock = read_lock(root, c);

    return lock != NULL && strcmp(lock, "mounted") == 0;
}

/* `pct mount` locks the CT before it mounts, and keeps the lock if mounting fails: nobody could change the
 * CT. Returns NULL, or what to do; the caller frees. */
static char *unlock_after_failure(const struct nvl_root *root, const struct nvl_container *c)
{
    if (!is_left_locked(root, c))
        return NULL;
    int r = run_pct("unmount", c->name, NULL);
    if (!is_left_locked(root, c))
        return NULL;
    nvl_autofree char *what = pct_failure("unmount", c->name, r);
    return nvl_xasprintf(
        "%s stays locked (lock: mounted) after the failed `pct mount`%s%s; run `pct unmount %s`", c->name,
        r != 0 ? ": " : "", r != 0 ? what : "", c->name);
}

/* Opens the mounted root file system. While it is mounted the CT has Proxmox's `lock: mounted`. If it fails,
 * nothing is mounted, *why says why, and *problem what else to do; the caller frees both. */
static int mount_with_pct(struct pct_mount *m, const struct nvl_root *root, const struct nvl_container *c,
                          struct nvl_root *rootfs, char **why, char **problem)
{
    nvl_autofree char *path = nvl_xasprintf("%s/%s/rootfs", c->lxcpath, c->name);
    nvl_autofree char *before = read_lock(root, c);
    bool is_others_lock;

    if (before != NULL) {
        *why = nvl_xasprintf("the CT is locked by somebody else (lock: %s)", before);
        return -EBUSY;
    }
    m->ctid = c->name;
    hold_signals(&m->signals);
    int r = run_pct("mount", c->name, &is_others_lock);
    if (r != 0) {
        *why = pct_failure("mount", c->name, r);
        *problem = is_others_lock ? NULL : unlock_after_failure(root, c);
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
    unmount_with_pct(m, rootfs, problem);
    return r;
}

/* What the grant injects may be there. */
static int out_of_reach(struct nvl_cleaned *cleaned, const struct nvl_effective *effective, char *why)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    bool is_granted = nvl_effective_grant(effective, &grant, NULL) > 0;

    nvl_entries_all(is_granted ? grant.capabilities : NVL_CAP_DEFAULT, &cleaned->remaining);
    if (is_granted && grant.delivery.cdi)
        nvl_strv_push(&cleaned->remaining, NVL_CDI_FILE);
    cleaned->unreachable = true;
    cleaned->why = why;
    return 0;
}

/* The files in a user's own container belong to its root: only the host's root is expected to remove them. */
static bool is_able(void)
{
    return geteuid() == 0;
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
    const struct nvl_ids as = {map->privileged ? (uid_t)-1 : map->uid0,
                               map->privileged ? (gid_t)-1 : map->gid0};

    if (ldconfig < 0)
        nvl_error_errno(&err, ldconfig, "cannot open the host's ldconfig");
    else
        nvl_ldconfig_run(rootfs, ldconfig, &as, &err);
    if (err.code == 0)
        return;
    nvl_strv_push(&cleaned->remaining, "/etc/ld.so.cache");
    if (cleaned->why == NULL)
        cleaned->why = nvl_xasprintf("cannot rebuild its linker cache: %s", err.message);
}

/* For engines in the container it would name nodes that are gone: they would start nothing that wants a GPU.
 */
static void clean_cdi(const struct nvl_root *rootfs, bool dry_run, struct nvl_cleaned *cleaned)
{
    if (!nvl_cdi_file_is_own(rootfs))
        return;
    bool is_gone = dry_run || nvl_cdi_file_remove(rootfs) == 0;
    nvl_strv_push(is_gone ? &cleaned->removed : &cleaned->remaining, NVL_CDI_FILE);
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
    if (notes.count > elsewhere) {
        nvl_entries_list(rootfs, &cleaned->remaining);
        cleaned->failed = is_able();
    }
    if (notes.count > 0)
        cleaned->why = nvl_strv_join(&notes, "; ");
    nvl_ldconfig_sweep(rootfs);
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
    clean_cdi(rootfs, dry_run, cleaned);
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

static void clean_stopped(const struct nvl_root *root, const struct nvl_container *c, struct nvl_root *rootfs,
                          const struct nvl_idmap *map, bool dry_run, struct nvl_cleaned *cleaned)
{
    struct nvl_idmap on_disk = *map;

    struct nvl_error err;

    nvl_root_watch(rootfs, is_able());
    on_disk.privileged = map->privileged || is_owned_by_host(c, rootfs);
    if (nvl_clean_entries(root, rootfs, 0, &on_disk, dry_run, cleaned))
        clean_nodes(root, rootfs, dry_run, &cleaned->removed);
    if (nvl_root_trouble(rootfs, &err) < 0) {
        nvl_strv_push(&cleaned->problems, err.message);
        cleaned->failed = true;
    }
}

/* Whether it is, on the machine itself, a Proxmox CT whose disk is not a directory. */
static bool is_for_pct(const struct nvl_root *root, const struct nvl_container *c,
                       const struct nvl_effective *effective)
{
    return c->kind == NVL_CONTAINER_PVE && nvl_root_is_machine(root) && nvl_rootfs_is_on_storage(effective);
}

static void take_problem(struct nvl_cleaned *cleaned, char *problem)
{
    if (problem == NULL)
        return;
    nvl_strv_push(&cleaned->problems, problem);
    cleaned->failed = true;
    free(problem);
}

static int clean_with_pct(const struct nvl_root *root, const struct nvl_container *c,
                          const struct nvl_effective *effective, const struct nvl_idmap *map,
                          struct nvl_cleaned *cleaned)
{
    struct nvl_root rootfs = NVL_ROOT_NONE; /* closed by unmount_with_pct */
    struct pct_mount mount;
    char *why = NULL, *problem = NULL;

    if (mount_with_pct(&mount, root, c, &rootfs, &why, &problem) < 0) {
        take_problem(cleaned, problem);
        cleaned->failed = true;
        return out_of_reach(cleaned, effective, why);
    }
    if (nvl_container_is_running(root, c)) /* `lock: mounted` does not stop anyone from starting it */
        cleaned->running = true;
    else
        clean_stopped(root, c, &rootfs, map, false, cleaned);
    unmount_with_pct(&mount, &rootfs, &problem);
    take_problem(cleaned, problem);
    return cleaned->running ? out_of_reach(cleaned, effective, nvl_xstrdup("it is running")) : 0;
}

bool nvl_clean_takes_pct(const struct nvl_root *root, const struct nvl_container *c,
                         const struct nvl_effective *effective)
{
    return is_for_pct(root, c, effective) && !nvl_container_is_running(root, c);
}

int nvl_clean_check(const struct nvl_root *root, const struct nvl_container *c,
                    const struct nvl_effective *effective, struct nvl_error *err)
{
    nvl_auto(nvl_root_close) struct nvl_root rootfs = NVL_ROOT_NONE;
    nvl_autofree char *why = NULL;
    struct nvl_idmap map;

    if (c->user == NULL || !is_able() || nvl_idmap_read(effective, &map, NULL) < 0)
        return 0;
    int r = nvl_container_open_rootfs(root, c, effective, &map, &rootfs, &why);
    if (r != -EPERM && r != -ETIMEDOUT)
        return 0;
    nvl_error_set(err, r, "%s: %s; nothing was changed", c->config_path, why);
    if (r == -EPERM)
        nvl_error_hint(err, "a user's config counts only as far as the user's own ids and folders go");
    return r;
}

/* What pre-start has made on the host for it. */
static void forget_start(const struct nvl_root *root, const char *name)
{
    nvl_node_copies_remove(root, name);
    nvl_cdi_file_forget(root, name);
    nvl_mapping_copy_remove(root, name);
}

int nvl_clean_rootfs(const struct nvl_root *root, const struct nvl_container *c,
                     const struct nvl_effective *effective, enum nvl_clean_how how,
                     struct nvl_cleaned *cleaned, struct nvl_error *err)
{
    char *why = NULL;
    struct nvl_idmap map;

    *cleaned = (struct nvl_cleaned){0};
    int r = nvl_idmap_read(effective, &map, err);
    if (r < 0)
        return r;
    bool is_running = nvl_container_is_running(root, c);
    if (!is_running && how != NVL_CLEAN_DRY && c->user == NULL)
        forget_start(root, c->lxc_name);
    if (is_running) {
        cleaned->running = true;
        return out_of_reach(cleaned, effective, nvl_xstrdup("it is running"));
    }
    struct nvl_root nvl_auto(nvl_root_close) rootfs = NVL_ROOT_NONE;
    if (nvl_container_open_rootfs(root, c, effective, &map, &rootfs, &why) == 0) {
        if (how != NVL_CLEAN_DRY)
            nvl_visit_writes();
        clean_stopped(root, c, &rootfs, &map, how == NVL_CLEAN_DRY, cleaned);
        return 0;
    }
    if (!is_for_pct(root, c, effective)) {
        cleaned->failed = how == NVL_CLEAN_ALL && nvl_root_is_machine(root) && is_able();
        return out_of_reach(cleaned, effective, why);
    }
    free(why);
    cleaned->not_mounted = how != NVL_CLEAN_ALL;
    if (cleaned->not_mounted)
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
