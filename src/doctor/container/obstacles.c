/* What keeps a container from starting, or the driver from having a place in it, whatever its grant: missing
 * devices, ids that it may not use, a root file system that nothing can be put into. */
#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>

#include "base/paths.h"
#include "container/idmap.h"
#include "container/subids.h"
#include "doctor/container/shared.h"
#include "doctor/families.h"
#include "inject/home.h"
#include "inject/linker.h"

/* ---- dev[n] of any device ---- */

/* "card0" and "card1"; of udev's links by address, "pci-0000:00:02.0-render" and "pci-0000:01:00.0-render".
 */
static bool is_neighbor(const char *name, const char *other)
{
    const char *dash = strrchr(name, '-'), *others = strrchr(other, '-');
    size_t stem = strcspn(name, "0123456789");

    if (nvl_has_prefix(name, "pci-"))
        return nvl_has_prefix(other, "pci-") && strcmp(dash, others) == 0;
    return stem > 0 && strncmp(name, other, stem) == 0 && other[stem] != '\0' &&
           other[stem + strspn(other + stem, "0123456789")] == '\0';
}

/* What exists in its place. */
static void find_neighbors(const struct nvl_root *root, const char *path, struct nvl_strv *found)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    const char *slash = strrchr(path, '/');
    nvl_autofree char *folder = nvl_xstrndup(path, (size_t)(slash - path));

    nvl_root_list(root, folder, &names);
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *other = nvl_xasprintf("%s/%s", folder, names.items[i]);
        if (is_neighbor(slash + 1, names.items[i]) && nvl_is_device(root, other))
            nvl_strv_push(found, other);
    }
}

/* The GPU of NVIDIA's that has the node, which may be somebody else's after all. */
static const struct nvl_gpu *find_node_gpu(const struct nvl_gpus *gpus, const char *path)
{
    for (size_t i = 0; i < gpus->count; i++) {
        const struct nvl_gpu *gpu = &gpus->items[i];
        nvl_autofree char *card = nvl_xasprintf("/dev/dri/card%d", gpu->card),
                          *render = nvl_xasprintf("/dev/dri/renderD%d", gpu->render);
        if (strcmp(path, card) == 0 || strcmp(path, render) == 0 || strstr(path, gpu->pci) != NULL)
            return gpu;
    }
    return NULL;
}

/* "/dev/dri/card0, /dev/dri/card1 (NVIDIA's, 0000:01:00.0)" */
static char *describe_neighbors(const struct nvl_gpus *gpus, const struct nvl_strv *found)
{
    struct nvl_buf b = {0};

    for (size_t i = 0; i < found->count; i++) {
        const struct nvl_gpu *gpu = find_node_gpu(gpus, found->items[i]);
        nvl_buf_addf(&b, "%s%s", i > 0 ? ", " : "", found->items[i]);
        if (gpu != NULL)
            nvl_buf_addf(&b, " (NVIDIA's, %s)", gpu->pci);
    }
    return nvl_buf_take(&b);
}

struct dev_fix {
    struct nvl_strv options, gone, paths; /* of `pct set`; the keys to delete, and what they name */
    struct nvl_strv choices;
};

static void dev_fix_clear(struct dev_fix *fix)
{
    nvl_strv_clear(&fix->options);
    nvl_strv_clear(&fix->gone);
    nvl_strv_clear(&fix->paths);
    nvl_strv_clear(&fix->choices);
}

/* A single device in its place can be named; among several, only the user knows which is meant. */
static void add_device_fix(const struct nvl_container_facts *facts, const struct nvl_setting *s,
                           const char *path, const struct nvl_strv *neighbors, struct dev_fix *fix)
{
    bool is_single = neighbors->count == 1;
    nvl_autofree char *value = nvl_dev_entry_change(s->value, is_single ? neighbors->items[0] : "PATH", NULL);
    nvl_autofree char *word = nvl_shell_word(value);

    if (neighbors->count == 0) {
        nvl_strv_push(&fix->gone, s->key);
        nvl_strv_push(&fix->paths, path);
    } else if (is_single) {
        nvl_strv_pushf(&fix->options, "-%s %s", s->key, word);
    } else {
        nvl_strv_pushf(&fix->choices, "choose the right one for %s: pct set %s -%s %s", s->key,
                       facts->container->name, s->key, word);
    }
}

/* One command for all of them: `pct set` fails while any entry names a device that does not exist. */
static void set_device_fix(const struct nvl_container_facts *facts, struct dev_fix *fix,
                           struct nvl_finding *f)
{
    nvl_autofree char *gone = nvl_strv_join(&fix->gone, ","), *paths = nvl_strv_join(&fix->paths, ", ");

    if (fix->gone.count > 0)
        nvl_strv_pushf(&fix->options, "--delete %s   # or bring %s back", gone, paths);
    if (fix->options.count > 0) {
        nvl_autofree char *options = nvl_strv_join(&fix->options, " ");
        nvl_strv_pushf(&fix->choices, "pct set %s %s", facts->container->name, options);
    }
    nvl_finding_fix_lines(f, &fix->choices);
}

static void check_dev_absent(const struct nvl_check *check, const struct nvl_container_facts *facts,
                             struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, paths = {0};
    nvl_auto(dev_fix_clear) struct dev_fix fix = {0};

    for (size_t i = 0; i < facts->effective.count; i++) {
        nvl_auto(nvl_dev_entry_clear) struct nvl_dev_entry entry = {0};
        const struct nvl_setting *s = &facts->effective.items[i];
        if (!nvl_setting_dev(s, &entry) || !nvl_has_prefix(entry.path, "/dev/") ||
            nvl_node_is_nvidias(entry.path) || nvl_is_device(facts->host->root, entry.path))
            continue;
        nvl_auto(nvl_strv_clear) struct nvl_strv neighbors = {0};
        find_neighbors(facts->host->root, entry.path, &neighbors);
        nvl_autofree char *text = describe_neighbors(&facts->host->host.gpus, &neighbors);
        nvl_add_setting_evidence(&evidence, facts, i);
        nvl_strv_pushf(&evidence, "%s is not a device of the host%s%s", entry.path,
                       neighbors.count > 0 ? "; it has " : "", text);
        nvl_strv_push(&paths, entry.path);
        add_device_fix(facts, s, entry.path, &neighbors, &fix);
    }
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                             "Proxmox will not start it: it passes a device that does not exist");
    if (f == NULL)
        return;
    f->start = NVL_START_WAITS;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &paths);
    bool is_dri = false;
    for (size_t i = 0; i < paths.count; i++)
        is_dri = is_dri || nvl_has_prefix(paths.items[i], "/dev/dri/");
    nvl_finding_cause(f,
                      "Proxmox looks for the devices of dev[n] before it does anything else, and stops the "
                      "start with \"Device … does not exist\"%s",
                      is_dri ? ". The numbers of /dev/dri follow the order in which drivers load, and change "
                               "with the kernel and with cards"
                             : "");
    set_device_fix(facts, &fix, f);
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
        nvl_strv_pushf(&fix, "echo %s:%u:%u >> %s", owner, m.outside, m.count, file);
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
    {"dev-absent", "Do all devices exist that Proxmox passes to it?", 42, NVL_NEEDS_PVE | NVL_OF_START, NULL,
     NVL_OF_CONTAINER(check_dev_absent)},
    {"idmap-broken", "Does its id map have its root?", 43, NVL_OF_START, NULL,
     NVL_OF_CONTAINER(check_idmap_root)},
    {"idmap-forbidden", "May it use the ids that it maps?", 44, NVL_OF_START, NULL,
     NVL_OF_CONTAINER(check_idmap)},
    {"mount-point", "Does it have a place for the driver?", 46, NVL_NEEDS_BUNDLE | NVL_OF_START, NULL,
     NVL_OF_CONTAINER(check_mount_point)},
    {"linker-place", "Can its linker be told of the driver?", 47, NVL_NEEDS_BUNDLE | NVL_OF_START,
     "mount-point container-musl container-processor", NVL_OF_CONTAINER(check_linker_place)},
    {0},
};
