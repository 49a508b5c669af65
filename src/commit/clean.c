/* Taking nvlxc's files out of a root file system: detach gives back what attach and the hook brought. The
 * root file system is reached while its container is stopped, and only where it is a directory on this host.
 */
#include "commit/clean.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "container/idmap.h"
#include "rootfs/entries.h"
#include "rootfs/linker.h"

static int out_of_reach(struct nvl_cleaned *cleaned, char *why)
{
    nvl_entries_all(&cleaned->remaining);
    cleaned->unreachable = true;
    cleaned->why = why;
    return 0;
}

/* "rootfs: [volume=]STORAGE:VOLUME,size=8G": only a plain path is a directory that can be opened. */
static char *pve_rootfs(const struct nvl_config *config, char **why)
{
    const char *value = nvl_config_get(config, "rootfs");

    if (value != NULL && nvl_has_prefix(value, "volume="))
        value += strlen("volume=");
    if (value == NULL || *value == '\0') {
        *why = nvl_xstrdup("its config names no root file system");
        return NULL;
    }
    if (value[0] == '/')
        return nvl_xstrndup(value, strcspn(value, ","));
    *why = nvl_xasprintf("its root file system is on storage %.*s; nvlxc does not mount it",
                         (int)strcspn(value, ":,"), value);
    return NULL;
}

/* "lxc.rootfs.path = [TYPE:]PATH": lxc.container.conf(5). A btrfs subvolume is a directory too. */
static char *lxc_rootfs(const struct nvl_config *config, char **why)
{
    static const char *const directories[] = {"dir:", "btrfs:"};
    const char *value = nvl_config_get(config, "lxc.rootfs.path");

    if (value == NULL || *value == '\0')
        value = nvl_config_get(config, "lxc.rootfs");
    if (value == NULL || *value == '\0') {
        *why = nvl_xstrdup("its config names no root file system");
        return NULL;
    }
    for (size_t i = 0; i < NVL_LENGTH(directories); i++)
        if (nvl_has_prefix(value, directories[i]))
            value += strlen(directories[i]);
    if (value[0] == '/')
        return nvl_xstrdup(value);
    *why = nvl_xasprintf("its root file system is of type %.*s, not a directory", (int)strcspn(value, ":"),
                         value);
    return NULL;
}

/* A user writes their own config: its path must not lead root into a root file system that is not theirs.
 * Theirs belongs to the container's root, who is never the host's. */
static char *refusal(const struct nvl_root *root, const struct nvl_container *c, const struct nvl_idmap *map,
                     int fd, const char *path)
{
    struct stat st, top;

    if (fstat(fd, &st) < 0 || fstat(root->fd, &top) < 0)
        return nvl_xasprintf("%s cannot be looked at: %s", path, strerror(errno));
    if (st.st_dev == top.st_dev && st.st_ino == top.st_ino)
        return nvl_xasprintf("%s is the host's own root directory", path);
    if (c->user != NULL && (map->privileged || map->uid0 == 0 || st.st_uid != map->uid0))
        return nvl_xasprintf("%s does not belong to the container's root", path);
    return NULL;
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

int nvl_clean_rootfs(const struct nvl_root *root, const struct nvl_container *c,
                     const struct nvl_config *config, bool dry_run, struct nvl_cleaned *cleaned,
                     struct nvl_error *err)
{
    char *why = NULL;
    struct nvl_idmap map;

    *cleaned = (struct nvl_cleaned){0};
    nvl_autofree char *path =
        c->kind == NVL_CONTAINER_PVE ? pve_rootfs(config, &why) : lxc_rootfs(config, &why);
    if (path == NULL)
        return out_of_reach(cleaned, why);
    if (nvl_container_is_running(root, c)) {
        cleaned->running = true;
        return out_of_reach(cleaned, nvl_xstrdup("it is running"));
    }
    int r = nvl_idmap_read(root, c, config, &map, err);
    if (r < 0)
        return r;

    nvl_autofd int fd = nvl_root_openat(root, path, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return out_of_reach(cleaned, nvl_xasprintf("%s cannot be opened: %s", path, strerror(-fd)));
    why = refusal(root, c, &map, fd, path);
    if (why != NULL)
        return out_of_reach(cleaned, why);

    struct nvl_root nvl_auto(nvl_root_close) rootfs;
    nvl_root_from_fd(&rootfs, TAKE_FD(fd), path);
    if (dry_run)
        nvl_entries_list(&rootfs, &cleaned->removed);
    else
        remove_entries(root, &rootfs, &map, cleaned);
    return 0;
}

void nvl_cleaned_clear(struct nvl_cleaned *cleaned)
{
    nvl_strv_clear(&cleaned->removed);
    nvl_strv_clear(&cleaned->remaining);
    free(cleaned->why);
    *cleaned = (struct nvl_cleaned){0};
}
