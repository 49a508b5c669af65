/* Checks the ways in which `attach` can deliver a grant. */
#include "attach/delivery_check.h"

#include <errno.h>
#include <strings.h>

#include "base/machine.h"
#include "base/root.h"
#include "container/commands.h"
#include "container/foreign.h"
#include "container/holding.h"
#include "container/grant_lines.h"
#include "container/hook_environment.h"
#include "container/instance.h"
#include "container/rootfs_path.h"
#include "host/ldcache.h"
#include "host/system.h"
#include "host/userspace.h"

#define PVE_CONTAINER     "pve-container"
#define PVE_CONTAINER_DEV "5.0.7" /* the first version that knows dev[n] */

int nvl_delivery_parse(const char *nodes, const char *libraries, const struct nvl_strv *with,
                       struct nvl_delivery *delivery, struct nvl_error *err)
{
    if (nodes != NULL && !nvl_nodes_mode_parse(nodes, &delivery->nodes))
        return nvl_error_usage(err, "--nodes %.60s: give hook, dev or static", nodes);
    if (libraries != NULL && !nvl_libraries_mode_parse(libraries, &delivery->libraries))
        return nvl_error_usage(err, "--libraries %.60s: give bundle, host or none", libraries);
    for (size_t i = 0; i < with->count; i++)
        if (!nvl_with_parse(with->items[i], delivery))
            return nvl_error_usage(
                err, "--with %.60s: give mps, persistenced, fabricmanager, gdrcopy or imex=N (0 to %d)",
                with->items[i], NVL_IMEX_CHANNEL_MAX);
    return 0;
}

/* ---- nodes ---- */

static int check_dev(const struct nvl_root *root, const struct nvl_container *c, struct nvl_error *err)
{
    if (c->kind != NVL_CONTAINER_PVE) {
        nvl_error_usage(err, "--nodes dev works only for Proxmox CTs: LXC has no dev[n] entries");
        nvl_error_hint(err, "leave it out (the start hook binds the nodes), or use --nodes static");
        return -EINVAL;
    }
    nvl_autofree char *version = nvl_package_version(root, PVE_CONTAINER);
    if (version != NULL && nvl_version_compare(version, PVE_CONTAINER_DEV) >= 0)
        return 0;
    nvl_error_host(err, -EOPNOTSUPP,
                   "--nodes dev needs " PVE_CONTAINER " " PVE_CONTAINER_DEV " or newer; this host has %s",
                   version != NULL ? version : "none that dpkg knows of");
    nvl_error_hint(err, "upgrade Proxmox VE to 8.1 or newer, or leave --nodes out");
    return -EOPNOTSUPP;
}

static void warn_about_dev(const struct nvl_root *root, const struct nvl_resolved *resolved,
                           struct nvl_strv *warnings)
{
    for (size_t i = 0; i < resolved->n_nodes; i++) {
        struct nvl_node node = resolved->nodes[i];
        nvl_node_check(root, &node);
        if (node.state == NVL_NODE_MISSING)
            nvl_strv_pushf(warnings, "%s is missing on the host: the CT does not start until it exists",
                           node.path);
    }
    nvl_strv_push(
        warnings,
        "Proxmox does not start a CT while a node of its dev[n] entries is missing; only nvlxc-boot.service "
        "makes /dev/nvidia-uvm after a reboot: keep it enabled");
}

static void warn_about_static(struct nvl_strv *warnings)
{
    nvl_strv_push(warnings,
                  "the mount entries name today's nodes: after a change of GPUs or MIG devices, run attach "
                  "again");
}

static void warn_about_with(const struct nvl_root *root, const struct nvl_delivery *delivery,
                            struct nvl_strv *warnings)
{
    struct nvl_with_place place;

    for (enum nvl_with with = NVL_WITH_MPS; with <= NVL_WITH_IMEX; with <<= 1)
        if (nvl_with_place(delivery, with, &place) && !nvl_root_exists(root, place.path))
            nvl_strv_pushf(
                warnings,
                "--with %s: %s does not exist on the host, and a start without it leaves it out; %s",
                place.name, place.path, place.remedy);
}

/* ---- the host's libraries ---- */

/* "debian 12"; NULL if it does not give both. */
static char *release_of(const struct nvl_root *root)
{
    struct nvl_system nvl_auto(nvl_system_clear) system = {0};

    if (nvl_system_read(root, &system, NULL) < 0 || system.id == NULL || system.version_id == NULL)
        return NULL;
    return nvl_xasprintf("%s %s", system.id, system.version_id);
}

static char *container_release(const struct nvl_root *root, const struct nvl_target *target)
{
    struct nvl_root nvl_auto(nvl_root_close) rootfs = NVL_ROOT_NONE;
    nvl_autofree char *why = NULL;
    struct nvl_idmap map;

    if (nvl_idmap_read(&target->effective, &map, NULL) < 0 ||
        nvl_container_open_rootfs(root, target->container, &target->effective, &map, &rootfs, &why) < 0)
        return why != NULL ? nvl_xasprintf("unknown: %s", why) : nvl_xstrdup("unknown");
    char *release = release_of(&rootfs);
    return release != NULL ? release : nvl_xstrdup("unknown: its /etc/os-release does not say");
}

bool nvl_is_same_release(const struct nvl_root *root, const struct nvl_target *target, char **host,
                         char **container)
{
    nvl_autofree char *release = release_of(root);

    *container = container_release(root, target);
    bool is_same = release != NULL && strcmp(release, *container) == 0;
    *host = release != NULL ? TAKE_PTR(release) : nvl_xstrdup("unknown");
    return is_same;
}

static int check_release(const struct nvl_root *root, const struct nvl_target *target, bool force,
                         struct nvl_strv *warnings, struct nvl_error *err)
{
    nvl_autofree char *host = NULL, *container = NULL;

    if (nvl_is_same_release(root, target, &host, &container))
        return 0;
    if (force) {
        nvl_strv_pushf(
            warnings,
            "the host's release is %s, the container's %s: its programs may find libraries that are "
            "too new or too old for them",
            host, container);
        return 0;
    }
    nvl_error_set(
        err, -EXDEV,
        "--libraries host replaces the container's library folder with the host's, but they are not of the "
        "same release: the host's is %s, the container's %s",
        host, container);
    nvl_error_hint(err,
                   "leave it out: the bundle fits every release; --force insists and may break its programs");
    return -EXDEV;
}

/* Finds the folder in which the host's loader finds the soname. */
static void add_found(const struct nvl_root *root, const struct nvl_ldcache *cache, enum nvl_elf_class elf,
                      const char *soname, struct nvl_strv *folders)
{
    const char *path = nvl_ldcache_find(cache, elf, soname);
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    nvl_autofree char *real = NULL;

    if (slash == NULL)
        return;
    nvl_autofree char *folder = nvl_xstrndup(path, (size_t)(slash - path));
    if (nvl_root_resolve(root, folder, &real) == 0 && nvl_is_library_folder(real))
        nvl_strv_push_once(folders, real);
}

static void add_known(const struct nvl_root *root, struct nvl_strv *folders)
{
    const char *const known[] = {nvl_machine()->libraries, "/usr/lib64", "/usr/lib"};

    for (size_t i = 0; i < NVL_LENGTH(known) && folders->count == 0; i++) {
        nvl_autofree char *file = nvl_xasprintf("%s/libcuda.so.1", known[i]);
        if (nvl_root_exists(root, file))
            nvl_strv_push(folders, known[i]);
    }
}

static int find_libraries(const struct nvl_root *root, unsigned capabilities, struct nvl_grant_places *places,
                          struct nvl_error *err)
{
    static const char *const sonames[] = {"libcuda.so.1", "libnvidia-ml.so.1"};
    struct nvl_ldcache nvl_auto(nvl_ldcache_clear) cache = {0};

    if (nvl_ldcache_read(&cache, root) == 0)
        for (size_t i = 0; i < NVL_LENGTH(sonames); i++) {
            add_found(root, &cache, NVL_ELF_64, sonames[i], &places->libraries);
            if ((capabilities & NVL_CAP_COMPAT32) != 0)
                add_found(root, &cache, NVL_ELF_32, sonames[i], &places->libraries);
        }
    if (places->libraries.count == 0)
        add_known(root, &places->libraries);
    if (places->libraries.count == 0) {
        nvl_error_host(err, -ENOENT,
                       "the host's library folders contain neither libcuda.so.1 nor libnvidia-ml.so.1");
        nvl_error_hint(err, "how to install the driver's libraries: nvlxc doctor\n--libraries bundle finds "
                            "them elsewhere, too");
        return -ENOENT;
    }
    if (nvl_root_exists(root, "/etc/alternatives"))
        nvl_strv_push(&places->libraries, "/etc/alternatives");
    places->has_smi = nvl_root_exists(root, NVL_HOST_SMI);
    return 0;
}

static void warn_about_libraries(const struct nvl_root *root, const struct nvl_target *target,
                                 const struct nvl_host *host, struct nvl_strv *warnings)
{
    struct nvl_userspace nvl_auto(nvl_userspace_clear) us = {0};
    const char *loaded = host->driver.version;
    struct nvl_idmap map;

    if (loaded[0] != '\0' && nvl_userspace_read(root, &us, NULL) == 0 && us.versions.count > 0 &&
        !nvl_strv_contains(&us.versions, loaded))
        nvl_strv_pushf(
            warnings,
            "the host's libraries are %s, the loaded module is %s: they do not work together until the next "
            "reboot; the bundle would",
            us.versions.items[0], loaded);
    if (nvl_idmap_read(&target->effective, &map, NULL) == 0 && map.privileged)
        nvl_strv_push(warnings, "the container is privileged: its root can remount the host's library folder "
                                "writable and change the host's files");
    nvl_strv_push(warnings,
                  "the host's library folder hides the container's own: installing or upgrading packages in "
                  "the container fails");
}

/* Only the host's root can make it, before a start. */
static int check_cdi(const struct nvl_target *target, struct nvl_error *err)
{
    if (target->container->user == NULL)
        return 0;
    nvl_error_set(err, -EOPNOTSUPP, "--cdi: a user's start hook cannot make the specification");
    nvl_autofree char *write = nvl_container_write_cdi(target->container, target->name);
    nvl_error_hint(err, "leave --cdi out, and after each change: %s", write);
    return -EOPNOTSUPP;
}

/* An instance's raw.lxc takes the place of its profiles'. */
static void warn_about_profile(const struct nvl_container *c, struct nvl_strv *warnings)
{
    if (c->instance != NULL && !c->instance->is_local && c->instance->raw[0] != '\0')
        nvl_strv_push(
            warnings,
            "raw.lxc of a profile is copied into the instance, whose own value hides it: later changes "
            "of the profile's do not reach the container until nvlxc detach");
}

int nvl_delivery_check(const struct nvl_root *root, const struct nvl_target *target,
                       const struct nvl_host *host, const struct nvl_grant *grant,
                       const struct nvl_resolved *resolved, bool force, struct nvl_grant_places *places,
                       struct nvl_strv *warnings, struct nvl_error *err)
{
    int r = grant->delivery.nodes == NVL_NODES_DEV ? check_dev(root, target->container, err) : 0;

    if (r == 0 && grant->delivery.cdi)
        r = check_cdi(target, err);
    if (r == 0 && grant->delivery.libraries == NVL_LIBRARIES_HOST)
        r = check_release(root, target, force, warnings, err);
    if (r == 0 && grant->delivery.libraries == NVL_LIBRARIES_HOST)
        r = find_libraries(root, grant->capabilities, places, err);
    if (r < 0)
        return r;
    for (size_t i = 0; grant->delivery.nodes != NVL_NODES_HOOK && i < resolved->n_nodes; i++)
        nvl_strv_push(&places->nodes, resolved->nodes[i].path);
    if (grant->delivery.nodes == NVL_NODES_DEV)
        warn_about_dev(root, resolved, warnings);
    if (grant->delivery.nodes == NVL_NODES_STATIC)
        warn_about_static(warnings);
    warn_about_with(root, &grant->delivery, warnings);
    warn_about_profile(target->container, warnings);
    if (grant->delivery.libraries == NVL_LIBRARIES_HOST)
        warn_about_libraries(root, target, host, warnings);
    return 0;
}

/* ---- what in a config forbids a grant ---- */

/* The programs of LXD's snap see none of the host's files where they are: neither the hook, nor the bundles.
 */
static int refuse_snap(const struct nvl_target *target, struct nvl_error *err)
{
    nvl_error_host(
        err, -EOPNOTSUPP,
        "%s is a container of LXD's snap, whose containers start where nvlxc's hook is out of sight; "
        "nothing was written",
        target->name);
    nvl_error_hint(err, "use Incus, or LXD of a Debian package");
    return -EOPNOTSUPP;
}

/* Keys and devices of Incus and LXD. */
static int refuse_parts(const struct nvl_target *target, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv sources = {0}, removals = {0};

    if (!nvl_effective_parts_by_hand(&target->effective, &sources, &removals))
        return 0;
    nvl_autofree char *what = nvl_strv_join(&sources, ", "), *commands = nvl_strv_join(&removals, "\n");
    nvl_error_set(err, -EEXIST, "%s already has NVIDIA devices or files: %.500s", target->name, what);
    nvl_error_hint(err, "take them from this container, then attach again:\n%.1000s", commands);
    return -EEXIST;
}

static int refuse_included(const struct nvl_target *target, const struct nvl_setting *s,
                           struct nvl_error *err)
{
    nvl_autofree char *text = nvl_setting_text(&target->effective, s);
    nvl_auto(nvl_strv_clear) struct nvl_strv others = {0};

    for (size_t i = 0; i < target->effective.count; i++) {
        const struct nvl_setting *other = &target->effective.items[i];
        if (other != s && other->file == s->file && other->owner == NVL_OWNER_BY_HAND)
            nvl_strv_pushf(&others, "%zu", other->number);
    }
    nvl_autofree char *numbers = nvl_strv_join(&others, ", ");
    nvl_error_set(err, -EEXIST,
                  "a file that the config includes gives %s NVIDIA devices or files: %.200s%s%.80s",
                  target->name, text,
                  others.count == 0  ? ""
                  : others.count > 1 ? "; also its lines "
                                     : "; also its line ",
                  numbers);
    nvl_error_hint(
        err,
        "nvlxc does not edit included files, since others may use them: remove %s there, or the line of %s "
        "that includes %s",
        others.count > 0 ? "these lines" : "the line", target->container->config_edit, s->file);
    return -EEXIST;
}

static int refuse_danger(const struct nvl_target *target, const struct nvl_hook_danger *danger,
                         struct nvl_error *err)
{
    nvl_autofree char *text = nvl_setting_text(&target->effective, danger->setting);

    nvl_error_set(
        err, -EPERM,
        "%.200s: %s; LXC sets this for the host's shell that runs the hooks, so with a hook the container's "
        "code would run on the host",
        text, danger->why);
    if (danger->setting->part != NULL)
        nvl_error_hint(err, "take it away:\n%s", danger->setting->part->removal);
    else
        nvl_error_hint(err, "%s", nvl_hook_danger_fix);
    return -EPERM;
}

int nvl_config_check(const struct nvl_root *root, const struct nvl_target *target, struct nvl_error *err)
{
    nvl_auto(nvl_hook_dangers_clear) struct nvl_hook_dangers dangers = {0};
    const struct nvl_setting *included = nvl_effective_foreign_file(&target->effective);
    const struct nvl_instance *instance = target->container->instance;

    if (instance != NULL && instance->daemon->is_snap)
        return refuse_snap(target, err);
    if (target->incomplete.code < 0) {
        *err = target->incomplete;
        return err->code;
    }
    nvl_hook_dangers_find(root, target->container, &target->effective, &dangers);
    if (dangers.count > 0)
        return refuse_danger(target, &dangers.items[0], err);
    return included != NULL ? refuse_included(target, included, err) : refuse_parts(target, err);
}

/* ---- several containers and one GPU ---- */

static int refuse(const struct nvl_strv *holders, const char *gpu, struct nvl_error *err)
{
    nvl_autofree char *names = nvl_strv_join(holders, ", "), *first = nvl_shell_word(holders->items[0]);

    nvl_error_set(err, -EBUSY, "--exclusive: %s already belongs to %s", gpu, names);
    nvl_error_hint(err,
                   "take the GPU from it first (`nvlxc show %s` lists the lines that give it), or leave "
                   "--exclusive out: several containers can share a GPU",
                   first);
    return -EBUSY;
}

/* An unreadable config may give any GPU, so it rules out a promise of exclusive use. */
static int refuse_unknown(const struct nvl_error *why, struct nvl_error *err)
{
    nvl_error_set(err, -EBUSY, "--exclusive: cannot tell which GPUs another container has: %s", why->message);
    nvl_error_hint(err, "%s",
                   why->hint[0] != '\0' ? why->hint : "make it readable, or leave --exclusive out");
    return -EBUSY;
}

int nvl_sharing_check(const struct nvl_target *target, const struct nvl_host *host,
                      const struct nvl_grant *grant, const struct nvl_resolved *resolved,
                      struct nvl_strv *warnings, struct nvl_error *err)
{
    struct nvl_strv nvl_auto(nvl_strv_clear) holders = {0};
    nvl_autofree char *first = NULL;
    struct nvl_error why = {0};

    if (grant->delivery.exclusive && target->containers.unread.count > 0) {
        nvl_error_set(&why, -EIO, "%s", target->containers.unread.items[0]);
        return refuse_unknown(&why, err);
    }
    for (size_t i = 0; i < target->containers.count; i++) {
        nvl_autofree struct nvl_container *c = nvl_container_at(&target->containers, i);
        struct nvl_holding nvl_auto(nvl_holding_clear) other = {0};
        if (strcmp(c->config_path, target->container->config_path) == 0 || c->node != NULL)
            continue;
        int r = nvl_holding_read(c, host, &other, &why);
        if (r < 0 && grant->delivery.exclusive)
            return refuse_unknown(&why, err);
        const struct nvl_resolved_gpu *shared = nvl_holding_shares(resolved, &other);
        if (shared == NULL)
            continue;
        nvl_autofree char *name = nvl_container_full_name(&target->containers, c);
        nvl_autofree char *gpu = nvl_holding_gpu_text(shared);
        nvl_strv_push(&holders, name);
        if (other.is_exclusive)
            nvl_strv_pushf(warnings, "%s has exclusive use of %s (--exclusive)", name, gpu);
        if (first == NULL)
            first = TAKE_PTR(gpu);
    }
    return grant->delivery.exclusive && holders.count > 0 ? refuse(&holders, first, err) : 0;
}
