/* Finds variables that are dangerous when liblxc runs hooks. */
#include "container/hook_environment.h"

#include <errno.h>
#include <fcntl.h>

#include "base/root.h"
#include "container/rootfs_path.h"

#define KEY_HOOKS "lxc.environment.hooks"
/* Debian's group for /usr/local, whose members have the same trust as root (Debian policy 9.1.2). */
#define GID_STAFF 50

const char nvl_hook_danger_fix[] = "move the variable to lxc.environment.runtime, which only the container's "
                                   "own init sees (LXC 6 and newer), or remove the line";

/* From ld.so(8), bash(1) and dash(1); GCONV_PATH and LOCPATH name files from which the C library loads code.
 */
static bool is_dangerous(const char *name, size_t len)
{
    static const char *const names[] = {"GLIBC_TUNABLES", "BASH_ENV", "ENV",        "SHELLOPTS",
                                        "BASHOPTS",       "PS4",      "GCONV_PATH", "LOCPATH"};

    for (size_t i = 0; i < NVL_LENGTH(names); i++)
        if (strlen(names[i]) == len && strncmp(name, names[i], len) == 0)
            return true;
    return nvl_has_prefix(name, "LD_") || nvl_has_prefix(name, "BASH_FUNC_");
}

/* ---- folders of LD_LIBRARY_PATH ---- */

static bool is_roots_own(const struct stat *st)
{
    bool is_groups_own = (st->st_mode & S_IWGRP) == 0 || st->st_gid == 0 || st->st_gid == GID_STAFF;

    return st->st_uid == 0 && is_groups_own && (st->st_mode & S_IWOTH) == 0;
}

static bool is_below(const char *path, const char *folder)
{
    size_t len = folder != NULL ? strlen(folder) : 0;

    while (len > 0 && folder[len - 1] == '/')
        len--;
    return len > 0 && strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* Where the container's root file system is, and where LXC mounts it for the hooks; NULL for what is not
 * known. */
struct rootfs_places {
    char *path, *real; /* as the config has it, and with links followed */
    const char *mount; /* lxc.rootfs.mount */
};

static void rootfs_places_clear(struct rootfs_places *places)
{
    free(places->path);
    free(places->real);
}

/* "/usr/lib/x86_64-linux-gnu/lxc/rootfs", where LXC mounts every container's root file system by default, and
 * "/var/lib/lxc/web/rootfs": what is below any folder of that name belongs to a container. */
static bool is_of_a_container(const char *path, const struct rootfs_places *places)
{
    const char *lxc = strstr(path, "/lxc/");

    return is_below(path, places->path) || is_below(path, places->real) || is_below(path, places->mount) ||
           (lxc != NULL && (nvl_has_suffix(path, "/rootfs") || strstr(lxc, "/rootfs/") != NULL));
}

/* Whether only root controls its contents: checks each existing folder of the path, down to the deepest. */
static const char *judge_way(const struct nvl_root *root, const char *path)
{
    nvl_autofree char *part = nvl_xstrdup(path);
    struct stat st;

    for (char *p = part;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char end = *p;
        *p = '\0';
        const char *folder = part[0] != '\0' ? part : "/";
        int r = nvl_root_stat(root, folder, 0, &st);
        if (r == -ENOENT && nvl_root_stat(root, folder, AT_SYMLINK_NOFOLLOW, &st) == 0)
            return "which is behind a link that leads nowhere yet";
        if (r == -ENOENT)
            return NULL; /* nobody but root can make it */
        if (r < 0)
            return "which cannot be examined";
        if (!is_roots_own(&st))
            return "which users other than root can write";
        if (end == '\0')
            return NULL;
        *p = end;
    }
}

/* The path with links followed as far as it exists, and the rest behind it; NULL if that is not known. */
static char *follow_links(const struct nvl_root *root, const char *path)
{
    nvl_autofree char *part = nvl_xstrdup(path);

    for (size_t len = strlen(part); len > 0; len--) {
        nvl_autofree char *real = NULL;
        if (len < strlen(path) && path[len] != '/')
            continue;
        part[len] = '\0';
        if (nvl_root_resolve(root, part, &real) == 0)
            return nvl_xasprintf("%s%s", strcmp(real, "/") == 0 ? "" : real, path + len);
    }
    return nvl_xstrdup(path);
}

static const char *judge_folder(const struct nvl_root *root, const char *folder,
                                const struct rootfs_places *places)
{
    if (folder[0] != '/')
        return "which is relative to the folder in which LXC runs";
    if (strchr(folder, '$') != NULL)
        return "whose place the loader decides";
    if (is_of_a_container(folder, places))
        return "which is in the root file system of a container";
    const char *why = judge_way(root, folder);
    if (why != NULL)
        return why;
    nvl_autofree char *real = follow_links(root, folder);
    if (is_of_a_container(real, places))
        return "which leads into the root file system of a container";
    return judge_way(root, real);
}

/* The loader accepts colons and semicolons, and takes an empty part as the current folder. */
static char *judge_library_path(const struct nvl_root *root, const char *value,
                                const struct rootfs_places *places)
{
    while (*value != '\0') {
        size_t len = strcspn(value, ":;");
        nvl_autofree char *folder = nvl_xstrndup(value, len);
        const char *why = judge_folder(root, folder, places);
        if (why != NULL)
            return nvl_xasprintf("LD_LIBRARY_PATH names '%s', %s", folder, why);
        value += len;
        if (*value != '\0' && value[1] == '\0')
            return nvl_xstrdup(
                "LD_LIBRARY_PATH ends with an empty part, which is the folder in which LXC runs");
        value += *value != '\0';
    }
    return NULL;
}

/* ---- variables ---- */

/* A name without a value is inherited from the caller: the host's own. */
static char *judge_variable(const struct nvl_root *root, const char *value,
                            const struct rootfs_places *places)
{
    const char *equals = strchr(value, '=');
    size_t len = equals != NULL ? (size_t)(equals - value) : 0;

    if (equals == NULL || !is_dangerous(value, len))
        return NULL;
    if (len == strlen("LD_LIBRARY_PATH") && nvl_has_prefix(value, "LD_LIBRARY_PATH="))
        return judge_library_path(root, equals + 1, places);
    return nvl_xasprintf("sets %.*s", (int)len, value);
}

void nvl_hook_dangers_find(const struct nvl_root *root, const struct nvl_container *c,
                           const struct nvl_effective *effective, struct nvl_hook_dangers *dangers)
{
    nvl_autofree char *why_not = NULL;
    nvl_auto(rootfs_places_clear) struct rootfs_places places = {
        .path = nvl_container_rootfs_path(c, effective, &why_not),
        .mount = nvl_effective_get(effective, "lxc.rootfs.mount")};

    if (places.path != NULL)
        places.real = follow_links(root, places.path);
    for (size_t i = 0; i < effective->count; i++) {
        const struct nvl_setting *s = &effective->items[i];
        if (strcmp(s->key, NVL_KEY_ENVIRONMENT) != 0 && strcmp(s->key, KEY_HOOKS) != 0)
            continue;
        char *why = judge_variable(root, s->value, &places);
        if (why != NULL)
            *NVL_APPEND(dangers->items, dangers->count) = (struct nvl_hook_danger){s, why};
    }
}

void nvl_hook_dangers_clear(struct nvl_hook_dangers *dangers)
{
    for (size_t i = 0; i < dangers->count; i++)
        free(dangers->items[i].why);
    free(dangers->items);
    *dangers = (struct nvl_hook_dangers){0};
}
