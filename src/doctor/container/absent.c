/* What a container needs for its start and the host does not have: devices of Proxmox's dev[n] entries,
 * sources of mount entries. */
#include "doctor/container/shared.h"
#include "doctor/families.h"
#include "host/node.h"

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

/* Adds the line, what it lacks, and what is there instead: `found` gets that. */
static void add_absent(const struct nvl_container_facts *facts, size_t setting, const char *path,
                       const char *what, struct nvl_strv *found, struct nvl_strv *evidence)
{
    if (nvl_has_prefix(path, "/dev/"))
        find_neighbors(facts->host->root, path, found);
    nvl_autofree char *text = describe_neighbors(&facts->host->host.gpus, found);
    nvl_add_setting_evidence(evidence, facts, setting);
    nvl_strv_pushf(evidence, "%s %s%s%s", path, what, found->count > 0 ? "; it has " : "", text);
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
        add_absent(facts, i, entry.path, "is not a device of the host", &neighbors, &evidence);
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

/* ---- mount entries of anything ---- */

/* NVIDIA's own have a check of theirs. A capture does not have what others mount. */
static void check_mount_absent(const struct nvl_check *check, const struct nvl_container_facts *facts,
                               struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, paths = {0}, fix = {0};

    for (size_t i = 0; nvl_root_is_machine(facts->host->root) && i < facts->effective.count; i++) {
        const struct nvl_setting *s = &facts->effective.items[i];
        nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry mount = {0};
        nvl_auto(nvl_strv_clear) struct nvl_strv neighbors = {0};
        if (s->owner != NVL_OWNER_OTHER || !nvl_setting_mount(s, &mount) || mount.source[0] != '/' ||
            nvl_mount_entry_has(&mount, "optional") || !nvl_is_absent(facts->host->root, mount.source))
            continue;
        add_absent(facts, i, mount.source, "does not exist on the host", &neighbors, &evidence);
        nvl_strv_push(&paths, mount.source);
        nvl_autofree char *removal = nvl_setting_removal(s);
        if (s->part == NULL)
            nvl_strv_pushf(&fix, "bring %s back, or add `,optional` to the options in line %zu of %s",
                           mount.source, s->number, s->file);
        else
            nvl_strv_pushf(&fix, "bring %s back, or take it from this container:\n%s", mount.source, removal);
    }
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                             "LXC will not start it: it mounts what the host does not have");
    if (f == NULL)
        return;
    f->start = NVL_START_WAITS;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &paths);
    nvl_finding_cause(
        f, "a mount entry without `optional` stops the start if its source is missing: \"Failed to "
           "mount …\"");
    nvl_finding_fix_lines(f, &fix);
}

const struct nvl_check nvl_absent_checks[] = {
    {"dev-absent", "Do all devices exist that Proxmox passes to it?", 42, NVL_NEEDS_PVE | NVL_OF_START, NULL,
     NVL_OF_CONTAINER(check_dev_absent)},
    {"mount-absent", "Does everything exist that it has to mount?", 48, NVL_OF_START, NULL,
     NVL_OF_CONTAINER(check_mount_absent)},
    {0},
};
