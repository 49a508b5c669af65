/* What keeps a container from starting, or the driver from having a place in it, whatever its grant: ids that
 * it may not use, a root file system that nothing can be put into. absent.c has devices and files. */
#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>

#include "container/idmap.h"
#include "container/subids.h"
#include "doctor/container/shared.h"
#include "doctor/families.h"
#include "inject/home.h"
#include "inject/linker.h"

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

    if (nvl_effective_get(&facts->effective, NVL_KEY_IDMAP) == NULL || !asks_for_ranges(facts->host->root))
        return;
    for (size_t i = 0; i < facts->effective.count; i++) {
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
        nvl_autofree char *give = nvl_subids_give(facts->host->root, file, owner, m.outside, m.count);
        nvl_strv_push(&fix, give);
    }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                                                 "LXC will not start it: it maps ids that it may not use");
    if (f == NULL)
        return;
    f->start = NVL_START_STOPS;
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
                                            "LXC will not start it: its id map is not valid");
    f->start = NVL_START_STOPS;
    nvl_finding_evidence(f, "%s", err->message);
    nvl_finding_cause(f,
                      "LXC refuses a line that is no mapping; and it cannot become the container's root if "
                      "that has no number on the host");
    if (err->hint[0] != '\0')
        nvl_finding_fix(f, "in %s: %s", facts->container->config_edit, err->hint);
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
    nvl_strv_pushf(&evidence, "%s does not exist yet", nvl_homes[0]);
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                             "its root file system is read-only and has no place for the driver yet");
    nvl_finding_about(f, NVL_SUBJECT_BUNDLE, NULL);
    nvl_finding_about(f, NVL_SUBJECT_LIBRARY, NULL);
    nvl_finding_cause(f,
                      "the start hook makes %s and the linker's configuration at the first start, but cannot "
                      "do so here: the container starts without the driver, however often you restart it",
                      nvl_homes[0]);
    nvl_finding_fix(f,
                    "start it once with a writable root file system: remove %s from line %zu of %s, start "
                    "it, stop it, and put it back. What that start makes stays",
                    strcmp(s->key, "rootfs") == 0 ? "ro=1" : "ro", s->number, s->file);
}

/* Where a line of the config mounts something in the container; NULL if it mounts nothing. The caller
 * frees. */
static char *find_mounted_place(const struct nvl_container_facts *facts, size_t i)
{
    const struct nvl_setting *s = &facts->effective.items[i];
    nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry mount = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv options = {0};

    if (nvl_setting_mount(s, &mount)) {
        bool is_left_out = nvl_mount_entry_has(&mount, "optional") && mount.source[0] == '/' &&
                           !nvl_root_exists(facts->host->root, mount.source);
        return is_left_out ? NULL : nvl_mount_entry_place(&mount, facts->rootfs.name);
    }
    if (facts->container->kind != NVL_CONTAINER_PVE || !nvl_has_prefix(s->key, "mp"))
        return NULL;
    nvl_strv_split(&options, s->value, ",");
    for (size_t n = 0; n < options.count; n++)
        if (nvl_has_prefix(options.items[n], "mp="))
            return nvl_xstrdup(options.items[n] + strlen("mp="));
    return NULL;
}

static bool lies_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    while (len > 0 && folder[len - 1] == '/')
        len--;
    return len > 0 && strncmp(path, folder, len) == 0 && path[len] == '/';
}

/* The line that will mount something above the home at the next start, which only then shows; -1 for none. */
static ssize_t find_mount_above(const struct nvl_container_facts *facts, const char *home)
{
    nvl_autofree char *above = nvl_xstrndup(home, (size_t)(strrchr(home, '/') - home)), *real = NULL;

    if (nvl_root_resolve(&facts->rootfs, above, &real) < 0)
        real = nvl_xstrdup(above);
    nvl_autofree char *below = nvl_xasprintf("%s/", real);
    for (size_t i = 0; i < facts->effective.count; i++) {
        nvl_autofree char *place = find_mounted_place(facts, i);
        if (place != NULL && (lies_below(home, place) || lies_below(below, place)))
            return (ssize_t)i;
    }
    return -1;
}

/* What keeps the driver from that home at the next start: 0 or an error of nvl_home_judge. The evidence of
 * it, too. */
static int judge_home(const struct nvl_container_facts *facts, const char *home, struct nvl_strv *evidence)
{
    ssize_t mount = find_mount_above(facts, home);
    size_t setting;
    bool is_read_only = find_read_only(&facts->effective, &setting) != NULL;
    int r = mount >= 0 ? -EXDEV : nvl_home_judge(&facts->rootfs, home);

    if (r == 0 && is_read_only && !nvl_root_exists(&facts->rootfs, home))
        r = -EROFS;
    if (mount >= 0)
        nvl_add_setting_evidence(evidence, facts, (size_t)mount);
    if (r < 0)
        nvl_strv_pushf(evidence, "%s %s", home, nvl_home_obstacle(r));
    return r;
}

static void say_other_home(const struct nvl_check *check, const struct nvl_container_facts *facts,
                           const char *home, const struct nvl_strv *evidence, struct nvl_findings *findings)
{
    nvl_autofree char *title = nvl_xasprintf("its driver is at %s, not at %s", home, nvl_homes[0]);
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_NOTE, facts, evidence, title);

    nvl_finding_cause(
        f,
        "nvlxc writes nothing through a mount or a broken link, and takes away nothing that is in "
        "its way. The linker's cache leads programs to the other place; only what names %s "
        "itself does not find the driver",
        nvl_homes[0]);
}

static void say_no_home(const struct nvl_check *check, const struct nvl_container_facts *facts, bool is_full,
                        const struct nvl_strv *evidence, struct nvl_findings *findings)
{
    nvl_autofree char *restart =
        facts->is_running ? nvl_container_restart(facts->container) : nvl_container_start(facts->container);
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, evidence,
                             is_full ? "its root file system is full, and has no place for the driver yet"
                                     : "it has no place for the driver");

    nvl_finding_about(f, NVL_SUBJECT_BUNDLE, NULL);
    nvl_finding_about(f, NVL_SUBJECT_LIBRARY, NULL);
    nvl_finding_cause(f,
                      "the start hook makes the folder that the driver is mounted on, and can make neither: "
                      "the container starts without the driver, however often you restart it");
    if (is_full)
        nvl_finding_fix(f, "make room on its root file system, then:\n%s", restart);
    else
        nvl_finding_fix(f,
                        "make %s or %s a folder of the container's own root file system, which its root may "
                        "write, then:\n%s",
                        nvl_homes[0], nvl_homes[1], restart);
}

static void check_mount_point(const struct nvl_check *check, const struct nvl_container_facts *facts,
                              struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};
    bool is_read_only = true, is_full = false;
    size_t setting = 0;

    if (facts->depth != NVL_DEPTH_ALL || facts->rootfs.fd < 0)
        return;
    for (size_t i = 0; i < NVL_HOMES; i++) {
        int r = judge_home(facts, nvl_homes[i], &evidence);
        if (r == 0 && i > 0)
            say_other_home(check, facts, nvl_homes[i], &evidence, findings);
        if (r == 0)
            return;
        is_read_only = is_read_only && r == -EROFS;
        is_full = is_full || r == -ENOSPC;
    }
    if (is_read_only && find_read_only(&facts->effective, &setting) != NULL)
        say_read_only(check, facts, setting, findings);
    else
        say_no_home(check, facts, is_full, &evidence, findings);
}

static void check_claim(const struct nvl_check *check, const struct nvl_container_facts *facts,
                        struct nvl_findings *findings)
{
    if (facts->rootfs_code != -EPERM || facts->container->user == NULL)
        return;
    struct nvl_finding *f = nvl_finding_add(findings, check, NVL_SEVERITY_ERROR, facts->name,
                                            "its root file system is not its user's");
    nvl_finding_evidence(f, "%s", facts->rootfs_why);
    nvl_finding_cause(
        f, "a user's config counts only as far as the user's own ids and folders go: nvlxc does not look "
           "into this root file system, and changes nothing there");
    nvl_finding_fix(f, "name a root file system of %s's, and ids of %s's, in %s", facts->container->user,
                    facts->container->user, facts->container->config_edit);
}

/* ---- the linker's configuration ---- */

/* It lies on a mount that the running container has, or that a line of the config will make. */
static bool is_linker_elsewhere(const struct nvl_container_facts *facts, struct nvl_strv *evidence)
{
    const struct nvl_root own = nvl_root_own(&facts->rootfs);
    ssize_t mount = find_mount_above(facts, NVL_LINKER_CONF);
    const char *name;
    nvl_autofd int parent = nvl_root_open_parent(&own, NVL_LINKER_CONF, &name);

    if (mount >= 0)
        nvl_add_setting_evidence(evidence, facts, (size_t)mount);
    return mount >= 0 || parent == -EXDEV;
}

static void check_linker_place(const struct nvl_check *check, const struct nvl_container_facts *facts,
                               struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0};

    if (facts->depth != NVL_DEPTH_ALL || facts->rootfs.fd < 0 || !is_linker_elsewhere(facts, &evidence))
        return;
    nvl_strv_push(&evidence, "/etc/ld.so.conf.d lies on a mount of its own, which others may share");
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                             "its linker is not told of the driver: its configuration is not its own");
    nvl_finding_about(f, NVL_SUBJECT_LIBRARY, NULL);
    nvl_finding_cause(f, "nvlxc writes nothing through such a mount: the linker's cache does not name the "
                         "driver, and programs do not find libcuda.so.1, however often you restart it");
    nvl_finding_fix(f,
                    "mount single files of /etc instead of the folder, or set LD_LIBRARY_PATH=%s/lib64 for "
                    "the programs that need the GPU (in a unit: Environment=), inside the container",
                    nvl_home(&facts->rootfs));
}

const struct nvl_check nvl_obstacle_checks[] = {
    {"idmap-broken", "Does its id map have its root?", 43, NVL_OF_START, NULL,
     NVL_OF_CONTAINER(check_idmap_root)},
    {"idmap-forbidden", "May it use the ids that it maps?", 44, NVL_OF_START, NULL,
     NVL_OF_CONTAINER(check_idmap)},
    {"rootfs-claimed", "Is its root file system its user's?", 49, NVL_NEEDS_DEPTH,
     "idmap-broken idmap-forbidden", NVL_OF_CONTAINER(check_claim)},
    {"mount-point", "Does it have a place for the driver?", 46, NVL_NEEDS_BUNDLE | NVL_OF_START, NULL,
     NVL_OF_CONTAINER(check_mount_point)},
    {"linker-place", "Can its linker be told of the driver?", 47, NVL_NEEDS_BUNDLE | NVL_OF_START,
     "mount-point container-musl container-processor", NVL_OF_CONTAINER(check_linker_place)},
    {0},
};
