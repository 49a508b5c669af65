/* Taking nvlxc's files out of a root file system: detach gives back what attach and the hook brought. The
 * root file system is reached while its container is stopped: where it is a directory of this host, and on
 * Proxmox's storages through `pct mount`.
 */
#include "apply/clean.h"

#include <errno.h>

#include "apply/pct_mount.h"
#include "container/rootfs_path.h"
#include "inject/files.h"
#include "inject/linker.h"
#include "inject/node_copies.h"

/* What may be there is what the grant brings. */
static int out_of_reach(struct nvl_cleaned *cleaned, const struct nvl_effective *effective, char *why)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    bool is_granted = nvl_effective_grant(effective, &grant, NULL) > 0;

    nvl_entries_all(is_granted ? grant.capabilities : NVL_CAP_DEFAULT, &cleaned->remaining);
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
        nvl_error_errno(&err, ldconfig, "the host's ldconfig cannot be opened");
    else
        nvl_ldconfig_run(rootfs, ldconfig, map->privileged ? (uid_t)-1 : map->uid0,
                         map->privileged ? (gid_t)-1 : map->gid0, &err);
    if (err.code == 0)
        return;
    nvl_strv_push(&cleaned->remaining, "/etc/ld.so.cache");
    if (cleaned->why == NULL)
        cleaned->why = nvl_xasprintf("its linker cache could not be written again: %s", err.message);
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
}

/* On the machine itself, a Proxmox CT whose disk is not a directory. */
static bool is_for_pct(const struct nvl_root *root, const struct nvl_container *c,
                       const struct nvl_effective *effective)
{
    return c->kind == NVL_CONTAINER_PVE && nvl_root_is_machine(root) && nvl_rootfs_is_on_storage(effective);
}

static int clean_with_pct(const struct nvl_root *root, const struct nvl_container *c,
                          const struct nvl_effective *effective, const struct nvl_idmap *map,
                          struct nvl_cleaned *cleaned)
{
    struct nvl_root rootfs = NVL_ROOT_NONE; /* closed by nvl_pct_unmount */
    struct nvl_pct_mount mount;
    char *why = NULL;

    if (nvl_pct_mount(&mount, c, &rootfs, &why) < 0)
        return out_of_reach(cleaned, effective, why);
    if (nvl_container_is_running(root, c)) /* `lock: mounted` does not keep it from being started */
        cleaned->running = true;
    else
        nvl_clean_entries(root, &rootfs, map, false, cleaned);
    if (nvl_pct_unmount(&mount, &rootfs, &why) < 0) {
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
        nvl_own_nodes_remove(root, c->name);
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
