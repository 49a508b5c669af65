/* What a config mounts from the host by hand: single files and nodes, whole library folders, and Proxmox's
 * dev[n]. */
#include <sys/stat.h>

#include "doctor/container/shared.h"
#include "doctor/families.h"
#include "container/foreign.h"
#include "container/rootfs_path.h"

static const char *uvm_or_all(const char *path)
{
    return nvl_has_prefix(path, "/dev/nvidia-uvm") ? "CUDA fails with error 999, while nvidia-smi works"
                                                   : "programs find no device, or no library";
}

/* A node of a GPU or of the whole driver: without it nothing works; a library or tool is only a part. */
static bool is_vital(const char *path)
{
    return nvl_has_prefix(path, "/dev/nvidia") && strcmp(path, "/dev/nvidia-uvm-tools") != 0 &&
           strcmp(path, "/dev/nvidia-modeset") != 0;
}

static bool is_node_path(const char *path)
{
    return nvl_has_prefix(path, "/dev/");
}

/* Common traits of the entries whose source is missing. */
struct lost_mounts {
    struct nvl_strv evidence, nodes, files, targets;
    bool is_error, is_fatal, makes_file;
    const char *effect;
};

static void lost_mounts_clear(struct lost_mounts *lost)
{
    nvl_strv_clear(&lost->evidence);
    nvl_strv_clear(&lost->nodes);
    nvl_strv_clear(&lost->files);
    nvl_strv_clear(&lost->targets);
}

static void add_lost_mount(struct lost_mounts *lost, const struct nvl_mount_entry *mount)
{
    bool is_optional = strstr(mount->options, "optional") != NULL;

    nvl_strv_pushf(&lost->evidence, "%s does not exist on the host", mount->source);
    nvl_strv_push(is_node_path(mount->source) ? &lost->nodes : &lost->files, mount->source);
    nvl_strv_pushf(&lost->targets, "/%s", mount->target);
    lost->makes_file |= is_optional && strstr(mount->options, "create=file") != NULL;
    lost->is_fatal |= !is_optional;
    lost->is_error |= !is_optional || is_vital(mount->source);
    if (lost->effect == NULL || nvl_has_prefix(mount->source, "/dev/nvidia-uvm"))
        lost->effect = uvm_or_all(mount->source);
}

static void find_lost_mounts(const struct nvl_container_facts *facts, struct lost_mounts *lost)
{
    for (size_t i = 0; i < facts->effective.count; i++) {
        nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry mount = {0};
        const struct nvl_setting *s = &facts->effective.items[i];
        if (s->owner == NVL_OWNER_OTHER || nvl_grant_slot(s->key, s->value) == NVL_SLOT_WITH_ENTRY ||
            !nvl_setting_mount(s, &mount) || mount.source[0] != '/' ||
            !nvl_is_absent(facts->host->root, mount.source))
            continue;
        nvl_add_setting_evidence(&lost->evidence, facts, i);
        add_lost_mount(lost, &mount);
    }
}

/* The finding explains what is left in their places. */
static void about_lost_mounts(struct nvl_finding *f, const struct lost_mounts *lost)
{
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &lost->nodes);
    nvl_finding_about_each(f, NVL_SUBJECT_LIBRARY, &lost->files);
    for (size_t i = 0; i < lost->targets.count; i++)
        nvl_finding_explains(f, is_node_path(lost->targets.items[i]) ? NVL_SUBJECT_NODE : NVL_SUBJECT_LIBRARY,
                             lost->targets.items[i]);
}

static void check_mount_source(const struct nvl_check *check, const struct nvl_container_facts *facts,
                               struct nvl_findings *findings)
{
    nvl_auto(lost_mounts_clear) struct lost_mounts lost = {0};

    find_lost_mounts(facts, &lost);
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, lost.is_error ? NVL_SEVERITY_ERROR : NVL_SEVERITY_WARNING,
                             facts, &lost.evidence, "it mounts NVIDIA files that the host does not have");
    if (f == NULL)
        return;
    f->start = lost.is_fatal ? NVL_START_WAITS : NVL_START_GOES;
    about_lost_mounts(f, &lost);
    nvl_autofree char *again = nvl_attach_again(facts);
    nvl_finding_cause(
        f, "%s%s%s",
        lost.is_fatal ? "an entry without `optional` stops the start; "
                      : "`optional` leaves such an entry out without a message; ",
        lost.makes_file ? "`create=file` puts an empty file in its place, which looks like the device; " : "",
        lost.effect);
    nvl_finding_fix(f, "have nvlxc make the nodes and find the files at each start:\n  %s", again);
}

/* What the grant adds by --with: an entry of it is left out at a start while the host does not have it. */
static void check_with(const struct nvl_check *check, const struct nvl_container_facts *facts,
                       struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, fix = {0};
    struct nvl_with_place place;

    for (enum nvl_with with = NVL_WITH_MPS; with <= NVL_WITH_IMEX; with <<= 1) {
        if (!nvl_with_place(&facts->grant.delivery, with, &place) ||
            !nvl_is_absent(facts->host->root, place.path))
            continue;
        nvl_strv_pushf(&evidence, "%s: %s does not exist on the host", place.name, place.path);
        nvl_strv_push(&fix, place.remedy);
    }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_WARNING, facts, &evidence,
                                                 "the host lacks what its grant adds by --with");
    if (f == NULL)
        return;
    nvl_autofree char *restart = nvl_container_restart(facts->container);
    nvl_finding_cause(f, "a start without it leaves it out: the container runs without that service or node");
    nvl_strv_push(&fix, restart);
    nvl_finding_fix_lines(f, &fix);
}

/* "/dev/nvidia0" for "/./dev//nvidia0"; the caller frees. */
static char *tidy_path(const char *path)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv parts = {0};
    struct nvl_buf b = {0};

    nvl_strv_split(&parts, path, "/");
    for (size_t i = 0; i < parts.count; i++)
        if (strcmp(parts.items[i], ".") != 0)
            nvl_buf_addf(&b, "/%s", parts.items[i]);
    return nvl_buf_take(&b);
}

/* A mount entry of an NVIDIA node, or of a folder of them, that is not nvlxc's. A DRM node's path does not
 * tell whose it is: attach leaves such a line in place. */
static bool mounts_node_by_hand(const struct nvl_container_facts *facts, size_t i,
                                struct nvl_mount_entry *mount)
{
    enum nvl_line_owner owner = facts->effective.items[i].owner;

    if (!nvl_setting_mount(&facts->effective.items[i], mount))
        return false;
    if (owner == NVL_OWNER_BY_HAND && nvl_has_prefix(mount->source, "/dev/nvidia"))
        return true;
    for (size_t n = 0; owner != NVL_OWNER_NVLXC && n < facts->host->n_nodes; n++)
        if (nvl_has_prefix(mount->source, "/dev/dri/") &&
            strcmp(facts->host->nodes[n].path, mount->source) == 0)
            return nvl_wants_gpu(facts);
    return false;
}

/* Where liblxc puts a node, if that is not where programs look for it; NULL if it is right, or unknown. A DRM
 * node may have another name on purpose, in the folder where all are. */
static char *find_stray_place(const struct nvl_mount_entry *mount, const char *rootfs)
{
    nvl_autofree char *as_written = nvl_mount_entry_place(mount, rootfs);

    if (as_written == NULL)
        return NULL;
    nvl_autofree char *place = tidy_path(as_written), *source = tidy_path(mount->source);
    bool is_right = strcmp(place, source) == 0 ||
                    (nvl_has_prefix(source, "/dev/dri/") && nvl_has_prefix(place, "/dev/dri/"));
    return is_right ? NULL : TAKE_PTR(place);
}

struct stray_mounts {
    struct nvl_strv evidence, sources;
    struct nvl_strv edits; /* for the lines that attach leaves in place */
    bool attach_takes;     /* any */
};

static void stray_mounts_clear(struct stray_mounts *strays)
{
    nvl_strv_clear(&strays->evidence);
    nvl_strv_clear(&strays->sources);
    nvl_strv_clear(&strays->edits);
}

static void find_stray_mounts(const struct nvl_container_facts *facts, struct stray_mounts *strays)
{
    nvl_autofree char *why_not = NULL;
    nvl_autofree char *rootfs = nvl_container_rootfs_path(facts->container, &facts->effective, &why_not);

    for (size_t i = 0; i < facts->effective.count; i++) {
        nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry mount = {0};
        if (!mounts_node_by_hand(facts, i, &mount))
            continue;
        nvl_autofree char *place = find_stray_place(&mount, rootfs);
        if (place == NULL)
            continue;
        nvl_add_setting_evidence(&strays->evidence, facts, i);
        nvl_strv_pushf(&strays->evidence, "%s becomes %s in the container", mount.source, place);
        nvl_strv_push(&strays->sources, mount.source);
        if (facts->effective.items[i].owner == NVL_OWNER_BY_HAND)
            strays->attach_takes = true;
        else
            nvl_strv_pushf(&strays->edits, "write the target %s in the line of %s", mount.source + 1,
                           mount.source);
    }
}

static void check_mount_target(const struct nvl_check *check, const struct nvl_container_facts *facts,
                               struct nvl_findings *findings)
{
    nvl_auto(stray_mounts_clear) struct stray_mounts strays = {0};

    find_stray_mounts(facts, &strays);
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &strays.evidence,
                                                 "it mounts NVIDIA's nodes where programs do not find them");
    if (f == NULL)
        return;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &strays.sources);
    nvl_finding_cause(f, "programs look for a node at the path that it has on the host, and the driver knows "
                         "it by its number: it must have the same name in the container, and a target "
                         "(which is relative to the container's root) must begin with dev/");
    nvl_autofree char *again = nvl_attach_again(facts), *edits = nvl_strv_join(&strays.edits, "\n");
    nvl_finding_fix(f, "%s%s%s%s", edits, strays.edits.count > 0 && strays.attach_takes ? "\n" : "",
                    strays.attach_takes ? "have nvlxc put the nodes in their places:\n  " : "",
                    strays.attach_takes ? again : "");
}

/* A folder of the host's libraries over one of the container's; targets have no leading slash. */
static bool covers_libraries(const struct nvl_mount_entry *mount)
{
    nvl_autofree char *target = nvl_xasprintf("/%s", mount->target);

    return nvl_is_library_folder(mount->source) && nvl_is_library_folder(target);
}

/* A rolling distribution has no version. */
static bool is_same_release(const struct nvl_system *a, const struct nvl_system *b)
{
    const char *a_version = a->version_id != NULL ? a->version_id : "";
    const char *b_version = b->version_id != NULL ? b->version_id : "";

    return a->id != NULL && b->id != NULL && strcmp(a->id, b->id) == 0 && strcmp(a_version, b_version) == 0;
}

/* "debian 12" */
static char *name_release(const struct nvl_system *s)
{
    return nvl_xasprintf("%s%s%s", s->id != NULL ? s->id : "unknown", s->version_id != NULL ? " " : "",
                         s->version_id != NULL ? s->version_id : "");
}

static void check_library_folder(const struct nvl_check *check, const struct nvl_container_facts *facts,
                                 struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, removals = {0};
    nvl_auto(nvl_system_clear) struct nvl_system inside = {0};

    for (size_t i = 0; i < facts->effective.count; i++) {
        nvl_auto(nvl_mount_entry_clear) struct nvl_mount_entry mount = {0};
        if (!nvl_setting_mount(&facts->effective.items[i], &mount) || !covers_libraries(&mount))
            continue;
        nvl_add_setting_evidence(&evidence, facts, i);
        nvl_autofree char *removal = nvl_setting_removal(&facts->effective.items[i]);
        if (facts->effective.items[i].owner == NVL_OWNER_OTHER) /* attach leaves it */
            nvl_strv_push_once(&removals, removal);
    }
    if (evidence.count == 0)
        return;
    if (facts->rootfs.fd >= 0)
        nvl_system_read(&facts->rootfs, &inside, NULL);
    const struct nvl_system *host = &facts->host->system;
    bool is_known = inside.id != NULL && host->id != NULL;
    if (is_same_release(&inside, host))
        return;
    nvl_autofree char *out = name_release(host), *in = name_release(&inside);
    nvl_strv_pushf(&evidence, "the host is %s, the container %s", out, in);
    struct nvl_finding *f =
        nvl_finding_of_lines(findings, check, is_known ? NVL_SEVERITY_ERROR : NVL_SEVERITY_WARNING, facts,
                             &evidence, "the host's library folder covers the container's own");
    nvl_autofree char *again = nvl_attach_with_bundle(facts);
    nvl_finding_cause(f, "the container's programs load the libraries of another release: apt and others end "
                         "with \"error while loading shared libraries\"");
    nvl_autofree char *first = nvl_strv_join(&removals, "\n");
    nvl_finding_fix(f, "%s%shave nvlxc add only the driver:\n  %s", first, removals.count > 0 ? "\n" : "",
                    again);
}

static bool is_nvidia_passthrough(const struct nvl_container_facts *facts, size_t i, struct nvl_dev_entry *p)
{
    return facts->effective.items[i].owner != NVL_OWNER_OTHER &&
           nvl_setting_dev(&facts->effective.items[i], p) && nvl_has_prefix(p->path, "/dev/nvidia");
}

static void check_dev_missing(const struct nvl_check *check, const struct nvl_container_facts *facts,
                              struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, paths = {0};
    struct stat st;

    for (size_t i = 0; i < facts->effective.count; i++) {
        nvl_auto(nvl_dev_entry_clear) struct nvl_dev_entry p = {0};
        if (!is_nvidia_passthrough(facts, i, &p))
            continue;
        int r = nvl_root_stat(facts->host->root, p.path, 0, &st);
        if (r == 0 && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
            continue;
        nvl_add_setting_evidence(&evidence, facts, i);
        nvl_strv_push(&paths, p.path);
        nvl_strv_pushf(&evidence, "%s %s on the host", p.path, r < 0 ? "does not exist" : "is not a device");
    }
    struct nvl_finding *f = nvl_finding_of_lines(findings, check, NVL_SEVERITY_ERROR, facts, &evidence,
                                                 "it will not start: it passes a device that does not exist");
    if (f == NULL)
        return;
    f->start = NVL_START_WAITS;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &paths);
    nvl_autofree char *again = nvl_attach_again(facts);
    bool is_uvm = false;
    for (size_t i = 0; i < paths.count; i++)
        is_uvm = is_uvm || nvl_has_prefix(paths.items[i], "/dev/nvidia-uvm");
    nvl_finding_cause(f,
                      "Proxmox looks for the devices of dev[n] before it does anything else, and stops the "
                      "start with \"Device … does not exist\"%s",
                      is_uvm ? "; nothing makes /dev/nvidia-uvm at boot by itself" : "");
    nvl_finding_fix(f, "%s", again);
}

/* The nodes of MIG devices are read only. */
static bool is_open_to_all(const struct nvl_dev_entry *p)
{
    int needed = nvl_has_prefix(p->path, "/dev/nvidia-caps/") ? 04 : 06;

    return (p->mode & needed) == needed;
}

/* `pct set` changes nothing while a device is missing: that is to be mended first. */
static bool lacks_device(const struct nvl_container_facts *facts)
{
    for (size_t i = 0; i < facts->effective.count; i++) {
        nvl_auto(nvl_dev_entry_clear) struct nvl_dev_entry p = {0};
        if (nvl_setting_dev(&facts->effective.items[i], &p) && !nvl_is_device(facts->host->root, p.path))
            return true;
    }
    return false;
}

static void check_dev_mode(const struct nvl_check *check, const struct nvl_container_facts *facts,
                           struct nvl_findings *findings)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv evidence = {0}, commands = {0}, paths = {0};

    for (size_t i = 0; i < facts->effective.count; i++) {
        nvl_auto(nvl_dev_entry_clear) struct nvl_dev_entry p = {0};
        if (!is_nvidia_passthrough(facts, i, &p) || p.says_owner || is_open_to_all(&p))
            continue;
        nvl_add_setting_evidence(&evidence, facts, i);
        nvl_strv_push(&paths, p.path);
        nvl_push_open_device(&commands, facts, &facts->effective.items[i], p.path);
    }
    struct nvl_finding *f =
        lacks_device(facts) ? NULL
                            : nvl_finding_of_lines(findings, check, NVL_SEVERITY_NOTE, facts, &evidence,
                                                   "only the container's root may open its NVIDIA devices");
    if (f == NULL)
        return;
    nvl_finding_about_each(f, NVL_SUBJECT_NODE, &paths);
    nvl_autofree char *text = nvl_strv_join(&commands, "\n");
    nvl_finding_cause(f, "dev[n] makes the node with mode 0660, owner root: a service that runs as another "
                         "user (Ollama, Jellyfin, Plex) cannot open it");
    nvl_finding_fix(f, "%s", text);
}

const struct nvl_check nvl_mount_checks[] = {
    {"dev-missing", "Do the devices exist that dev[n] passes?", 40, NVL_OF_START, NVL_NO_NODES_ON_HOST,
     NVL_OF_CONTAINER(check_dev_missing)},
    {"mount-source-missing", "Does everything that it mounts by hand exist on the host?", 120, NVL_OF_START,
     NVL_NO_NODES_ON_HOST " libraries-absent", NVL_OF_CONTAINER(check_mount_source)},
    {"with-absent", "Does the host have what its grant adds by --with?", 122, NVL_NEEDS_GRANT, NULL,
     NVL_OF_CONTAINER(check_with)},
    {"mount-target", "Are the nodes that it mounts where programs look for them?", 125, 0,
     "mount-source-missing", NVL_OF_CONTAINER(check_mount_target)},
    {"library-folder-mounted", "Does it use its own library folders?", 130, NVL_NEEDS_DEPTH, NULL,
     NVL_OF_CONTAINER(check_library_folder)},
    {"dev-mode", "May its services open the devices that dev[n] passes?", 170, 0,
     "service-user-denied dev-missing node-twice", NVL_OF_CONTAINER(check_dev_mode)},
    {0},
};
