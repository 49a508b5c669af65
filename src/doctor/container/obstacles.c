/* What keeps a container from starting, or the driver from having a place in it, whatever its grant: missing
 * devices, ids that it may not use, a root file system that nothing can be put into. */
#include <fcntl.h>

#include "base/paths.h"
#include "container/idmap.h"
#include "container/subids.h"
#include "doctor/container/shared.h"
#include "doctor/families.h"

/* ---- dev[n] of any device ---- */

/* "/dev/dri/card1, /dev/dri/renderD128": what exists in its place. */
static char *find_neighbors(const struct nvl_root *root, const char *path)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0}, found = {0};
    const char *slash = strrchr(path, '/');
    nvl_autofree char *folder = nvl_xstrndup(path, (size_t)(slash - path));
    size_t stem = strcspn(slash + 1, "0123456789");

    nvl_root_list(root, folder, &names);
    for (size_t i = 0; stem > 0 && i < names.count; i++) {
        const char *rest = names.items[i] + stem;
        if (strncmp(names.items[i], slash + 1, stem) == 0 && rest[0] != '\0' &&
            rest[strspn(rest, "0123456789")] == '\0')
            nvl_strv_pushf(&found, "%s/%s", folder, names.items[i]);
    }
    return nvl_strv_join(&found, ", ");
}

static bool is_device(const struct nvl_root *root, const char *path)
{
    struct stat st;

    return nvl_root_stat(root, path, 0, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode));
}

/* A single device in its place can be named; among several, only the user knows which is meant. */
static void add_device_fix(const struct nvl_container_facts *facts, const struct nvl_setting *s,
                           const char *path, const char *neighbors, struct nvl_strv *fix)
{
    const char *options = strchr(s->value, ','), *ct = facts->container->name;
    bool is_single = strchr(neighbors, ',') == NULL;
    nvl_autofree char *value =
        nvl_xasprintf("%s%s", is_single ? neighbors : "PATH", options != NULL ? options : "");
    nvl_autofree char *word = nvl_shell_word(value);

    if (neighbors[0] != '\0' && is_single)
        nvl_strv_pushf(fix, "pct set %s -%s %s", ct, s->key, word);
    else if (neighbors[0] != '\0')
        nvl_strv_pushf(fix, "choose the right one for %s: pct set %s -%s %s", s->key, ct, s->key, word);
    else
        nvl_strv_pushf(fix, "pct set %s --delete %s   # or bring %s back", ct, s->key, path);
}

static void check_dev_absent(const struct nvl_check *check, const struct nvl_container_facts *facts,
                             struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, paths = {0}, fix = {0};

    for (size_t i = 0; i < facts->effective.count; i++) {
        nvl_auto(nvl_dev_entry_clear) struct nvl_dev_entry entry = {0};
        const struct nvl_setting *s = &facts->effective.items[i];
        if (!nvl_setting_dev(s, &entry) || !nvl_has_prefix(entry.path, "/dev/") ||
            nvl_has_prefix(entry.path, "/dev/nvidia") || is_device(facts->host->root, entry.path))
            continue;
        nvl_autofree char *neighbors = find_neighbors(facts->host->root, entry.path);
        nvl_add_setting_evidence(&evidence, facts, i);
        nvl_strv_pushf(&evidence, "%s is not a device of the host%s%s", entry.path,
                       neighbors[0] != '\0' ? "; it has " : "", neighbors);
        nvl_strv_push(&paths, entry.path);
        add_device_fix(facts, s, entry.path, neighbors, &fix);
    }
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                             "Proxmox will not start it: it passes a device that does not exist");
    if (f == NULL)
        return;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &paths);
    nvl_finding_cause(f, "Proxmox looks for the devices of dev[n] before it does anything else, and stops "
                         "the start with \"Device … does not exist\". The numbers of /dev/dri follow the "
                         "order in which drivers load, and change with the kernel and with cards");
    nvl_finding_fix_lines(f, &fix);
}

/* ---- ids ---- */

/* liblxc writes the map itself if the two programs are not installed: then nothing checks it. */
static bool asks_for_ranges(const struct nvl_root *root)
{
    return nvl_root_exists(root, "/usr/bin/newuidmap") && nvl_root_exists(root, "/usr/bin/newgidmap");
}

static void check_idmap(const struct nvl_check *check, const struct nvl_container_facts *facts,
                        struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    const struct nvl_user *user = facts->container->owner;
    const char *owner = user != NULL ? user->name : "root";
    unsigned uid = user != NULL ? user->uid : 0;

    for (size_t i = 0; i < facts->effective.count && asks_for_ranges(facts->host->root); i++) {
        struct nvl_mapping m;
        if (strcmp(facts->effective.items[i].key, NVL_KEY_IDMAP) != 0 ||
            !nvl_mapping_parse(facts->effective.items[i].value, &m))
            continue;
        const char *file = m.kind == 'u' ? "/etc/subuid" : "/etc/subgid";
        bool is_own = user != NULL && m.count == 1 && m.outside == uid; /* of newuidmap(1) */
        if (is_own || nvl_subids_have(facts->host->root, file, owner, uid, m.outside, m.count) != 0)
            continue;
        nvl_add_setting_evidence(&evidence, facts, i);
        nvl_strv_pushf(&evidence, "%s does not give %s the ids %u to %u", file, owner, m.outside,
                       m.outside + m.count - 1);
        nvl_strv_pushf(&fix, "echo %s:%u:%u >> %s", owner, m.outside, m.count, file);
    }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                                                 "LXC will not start it: it maps ids that it may not use");
    if (f == NULL)
        return;
    nvl_finding_cause(f, "newuidmap and newgidmap refuse an id map with ids of the host that these files do "
                         "not give; LXC stops the start with \"newgidmap: gid range … not allowed\"");
    nvl_finding_fix_lines(f, &fix);
}

static void check_idmap_root(const struct nvl_check *check, const struct nvl_container_facts *facts,
                             struct nvl_findings *findings)
{
    const struct nvl_error *err = &facts->idmap_error;

    if (err->code == 0 || facts->incomplete.code < 0)
        return;
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name,
                                            "LXC will not start it: its id map is not complete");
    nvl_finding_evidence(f, "%s", err->message);
    nvl_finding_cause(f, "a container with an id map runs as the ids that the map has; LXC cannot become its "
                         "root if that has no number on the host");
    if (err->hint[0] != '\0')
        nvl_finding_fix(f, "in %s: %s", facts->container->config_path, err->hint);
}

/* ---- the mount point ---- */

/* The setting that makes the root file system read-only; NULL for none. */
static const struct nvl_setting *find_read_only(const struct nvl_effective *effective, size_t *index)
{
    for (size_t i = 0; i < effective->count; i++) {
        const struct nvl_setting *s = &effective->items[i];
        nvl_auto(nvl_strv_clear) struct nvl_strv options = {0};
        bool is_pve = strcmp(s->key, "rootfs") == 0;
        if (!is_pve && strcmp(s->key, "lxc.rootfs.options") != 0)
            continue;
        nvl_strv_split(&options, s->value, ",");
        *index = i;
        if (nvl_strv_contains(&options, is_pve ? "ro=1" : "ro"))
            return s;
    }
    return NULL;
}

static void say_read_only(const struct nvl_check *check, const struct nvl_container_facts *facts,
                          size_t setting, struct nvl_findings *findings)
{
    const struct nvl_setting *s = &facts->effective.items[setting];
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};

    nvl_add_setting_evidence(&evidence, facts, setting);
    nvl_strv_push(&evidence, NVL_MOUNT_POINT " does not exist yet");
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                             "its root file system is read-only and has no place for the driver yet");
    nvl_finding_about(f, NVL_SUBJECT_BUNDLE, NULL);
    nvl_finding_about(f, NVL_SUBJECT_LIBRARY, NULL);
    nvl_finding_cause(f, "the start hook makes " NVL_MOUNT_POINT
                         " and the linker's configuration at the first start, but cannot do so here: the "
                         "container starts without the driver, however often you restart it");
    nvl_finding_fix(f,
                    "start it once with a writable root file system: remove %s from line %zu of %s, start "
                    "it, stop it, and put it back. What that start makes stays",
                    strcmp(s->key, "rootfs") == 0 ? "ro=1" : "ro", s->number, s->file);
}

/* A broken link, the first on the way to the mount point; NULL for none. The caller frees. */
static char *find_dangling_link(const struct nvl_root *rootfs, char **target)
{
    static const char *const folders[] = {"/usr", "/usr/local"};
    struct stat st;

    for (size_t i = 0; i < NVL_LENGTH(folders); i++)
        if (nvl_root_stat(rootfs, folders[i], AT_SYMLINK_NOFOLLOW, &st) == 0 && S_ISLNK(st.st_mode) &&
            !nvl_root_exists(rootfs, folders[i]) && nvl_root_readlink(rootfs, folders[i], target) == 0)
            return nvl_xstrdup(folders[i]);
    return NULL;
}

static void say_dangling(const struct nvl_check *check, const struct nvl_container_facts *facts,
                         const char *link, const char *target, struct nvl_findings *findings)
{
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name,
                                            "a broken link is in the way to the driver's place in it");
    const char *parent = target[0] == '/' ? "" : strcmp(link, "/usr") == 0 ? "/" : "/usr/";
    nvl_autofree char *folder = nvl_xasprintf("%s%s", parent, target);
    nvl_autofree char *word = nvl_shell_word(folder); /* the container wrote it, and root pastes it */
    nvl_autofree char *make = nvl_xasprintf("mkdir -p %s", word);
    nvl_autofree char *start = nvl_container_start(facts->container),
                      *restart = nvl_container_restart(facts->container);
    nvl_autofree char *inside = nvl_container_run_inside(facts->container, make);

    nvl_finding_about(f, NVL_SUBJECT_BUNDLE, NULL);
    nvl_finding_about(f, NVL_SUBJECT_LIBRARY, NULL);
    nvl_finding_evidence(f, "%s -> %s, which does not exist in the container", link, target);
    nvl_finding_cause(f, "the start hook makes " NVL_MOUNT_POINT
                         " there, and follows no broken link: the container starts without the driver, "
                         "however often you restart it");
    if (facts->is_running)
        nvl_finding_fix(f, "%s\n%s", inside, restart);
    else
        nvl_finding_fix(f, "%s\n%s\n%s", start, inside, restart);
}

static void check_mount_point(const struct nvl_check *check, const struct nvl_container_facts *facts,
                              struct nvl_findings *findings)
{
    nvl_autofree char *target = NULL;
    bool has_rootfs = facts->depth == NVL_DEPTH_ALL && facts->rootfs.fd >= 0;
    size_t setting = 0;

    if (has_rootfs && nvl_root_exists(&facts->rootfs, NVL_MOUNT_POINT))
        return;
    nvl_autofree char *link = has_rootfs ? find_dangling_link(&facts->rootfs, &target) : NULL;
    if (link != NULL)
        say_dangling(check, facts, link, target, findings);
    else if (has_rootfs && find_read_only(&facts->effective, &setting) != NULL)
        say_read_only(check, facts, setting, findings);
}

const struct nvl_check nvl_obstacle_checks[] = {
    {"dev-absent", "Do all devices exist that Proxmox passes to it?", 42, NVL_NEEDS_PVE, NULL,
     NVL_OF_CONTAINER(check_dev_absent)},
    {"idmap-broken", "Does its id map have its root?", 43, 0, NULL, NVL_OF_CONTAINER(check_idmap_root)},
    {"idmap-forbidden", "May it use the ids that it maps?", 44, 0, NULL, NVL_OF_CONTAINER(check_idmap)},
    {"mount-point", "Does it have a place for the driver?", 46, NVL_NEEDS_BUNDLE, NULL,
     NVL_OF_CONTAINER(check_mount_point)},
    {0},
};
