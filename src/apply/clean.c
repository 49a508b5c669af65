/* Removes nvlxc's files from a root file system: detach undoes what attach and the hook did. The root file
 * system is reachable while its container is stopped: as a directory of this host, or on Proxmox's storages
 * through `pct mount`. */
#include "apply/clean.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "base/paths.h"
#include "base/root.h"
#include "base/run.h"
#include "container/container.h"
#include "container/effective.h"
#include "container/grant_lines.h"
#include "container/idmap.h"
#include "container/rootfs_path.h"
#include "inject/cdi_file.h"
#include "inject/files.h"
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
    if (is_granted && grant.delivery.cdi)
        nvl_strv_push(&cleaned->remaining, NVL_CDI_FILE);
    cleaned->unreachable = true;
    cleaned->why = why;
    return 0;
}

static void refresh_linker(const struct nvl_root *root, const struct nvl_root *rootfs,
                           const struct nvl_idmap *map, struct nvl_cleaned *cleaned)
{
    struct nvl_error err = {0};
    nvl_autofd int ldconfig = nvl_ldconfig_open(root);

    if (ldconfig < 0)
        nvl_error_errno(&err, ldconfig, "cannot open the host's ldconfig");
    else
        nvl_ldconfig_run(rootfs, ldconfig, map->privileged ? (uid_t)-1 : map->uid0,
                         map->privileged ? (gid_t)-1 : map->gid0, &err);
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

    nvl_entries_remove(rootfs, &cleaned->removed, &notes);
    if (notes.count > 0) {
        nvl_entries_list(rootfs, &cleaned->remaining);
        cleaned->why = nvl_strv_join(&notes, "; ");
    }
    if (nvl_linker_names_bundle(rootfs))
        refresh_linker(root, rootfs, map, cleaned);
}

void nvl_clean_entries(const struct nvl_root *root, const struct nvl_root *rootfs,
                       const struct nvl_idmap *map, bool dry_run, struct nvl_cleaned *cleaned)
{
    if (dry_run)
        nvl_entries_list(rootfs, &cleaned->removed);
    else
        remove_entries(root, rootfs, map, cleaned);
    clean_cdi(rootfs, dry_run, cleaned);
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
        nvl_clean_entries(root, &rootfs, map, false, cleaned);
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
    if (!is_running && !dry_run && c->user == NULL)
        nvl_cdi_file_forget(root, c->name);
    if (is_running) {
        cleaned->running = true;
        return out_of_reach(cleaned, effective, nvl_xstrdup("it is running"));
    }
    struct nvl_root nvl_auto(nvl_root_close) rootfs = NVL_ROOT_NONE;
    if (nvl_container_open_rootfs(root, c, effective, &map, &rootfs, &why) == 0) {
        nvl_clean_entries(root, &rootfs, &map, dry_run, cleaned);
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
