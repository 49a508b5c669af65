/* Makes a CDI specification of a host or of a container's grant: both are a resolved grant. Each device is a
 * grant of its own, so that its nodes are those that `attach` would give.
 *
 * How programs find the driver, without a hook, in an image that knows nothing of it: not by variables, since
 * those of a specification replace the image's own PATH and LD_LIBRARY_PATH. Instead the bundle's library
 * folder is bound once more, at places where glibc looks by itself. */
#include "cdi/make.h"

#include <errno.h>
#include <fcntl.h>

#include "base/machine.h"
#include "base/paths.h"
#include "bundle/list.h"
#include "attach/request.h"
#include "container/idmap.h"
#include "container/rootfs_path.h"
#include "container/target.h"
#include "grant/resolve.h"
#include "inject/files.h"
#include "inject/home.h"

struct source {
    struct nvl_host host;
    struct nvl_grant grant;
    struct nvl_resolved resolved;
    bool is_container; /* else GPUs have the host's indexes */
    const char *home;  /* of a container: where it has the driver */
};

static void cdi_source_clear(struct source *s)
{
    nvl_resolved_clear(&s->resolved);
    nvl_grant_clear(&s->grant);
    nvl_host_clear(&s->host);
}

static bool is_shared(const struct nvl_node *node)
{
    return node->kind == NVL_NODE_CTL || node->kind == NVL_NODE_UVM || node->kind == NVL_NODE_UVM_TOOLS ||
           node->kind == NVL_NODE_MODESET;
}

static void take_nodes(const struct nvl_resolved *resolved, bool shared, struct nvl_strv *paths)
{
    for (size_t i = 0; i < resolved->n_nodes; i++)
        if (is_shared(&resolved->nodes[i]) == shared)
            nvl_strv_push(paths, resolved->nodes[i].path);
}

/* Adds a device for this selector under each of the names. */
static int add_device(const struct source *s, struct nvl_cdi *cdi, const char *selector,
                      const struct nvl_strv *names, struct nvl_error *err)
{
    struct nvl_grant nvl_auto(nvl_grant_clear)
        one = {.devices = NVL_DEVICES_LIST, .capabilities = s->grant.capabilities};
    struct nvl_resolved nvl_auto(nvl_resolved_clear) resolved = {0};

    int r = nvl_selector_parse(selector, NVL_APPEND(one.selectors, one.n_selectors), err);
    if (r < 0)
        return r;
    nvl_grant_resolve(&one, &s->host, &resolved);
    for (size_t i = 0; i < names->count; i++)
        take_nodes(&resolved, false, &nvl_cdi_add(cdi, names->items[i])->nodes);
    return 0;
}

static int add_gpu_device(const struct source *s, struct nvl_cdi *cdi, const struct nvl_gpu *gpu, int index,
                          struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    nvl_strv_pushf(&names, "%d", index);
    if (gpu->uuid[0] != '\0')
        nvl_strv_push(&names, gpu->uuid);
    return add_device(s, cdi, gpu->pci, &names, err);
}

/* CDI's names have no slash. */
static int add_mig(const struct source *s, struct nvl_cdi *cdi, const struct nvl_gpu *gpu,
                   const struct nvl_mig *mig, int index, size_t mig_index, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_autofree char *selector = nvl_mig_uuid(gpu, mig);

    nvl_strv_pushf(&names, "%d:%zu", index, mig_index);
    nvl_strv_pushf(&names, "MIG-%s:%u:%u", gpu->uuid, mig->gi, mig->ci);
    return add_device(s, cdi, selector, &names, err);
}

static bool is_file_given(const struct source *s, const struct nvl_gpu *gpu, const struct nvl_mig *mig)
{
    for (size_t i = 0; i < s->resolved.n_gpus; i++)
        if (s->resolved.gpus[i].gpu == gpu && s->resolved.gpus[i].mig == mig)
            return true;
    return false;
}

/* Adds one GPU, if it is granted as a whole, and its MIG devices. Returns how many devices it added. */
static int add_gpu_and_migs(const struct source *s, struct nvl_cdi *cdi, const struct nvl_gpu *gpu, int index,
                            struct nvl_error *err)
{
    bool is_whole = is_file_given(s, gpu, NULL);
    size_t n_migs = 0, before = cdi->n_devices;
    int r = is_whole ? add_gpu_device(s, cdi, gpu, index, err) : 0;

    for (size_t i = 0; r == 0 && gpu->uuid[0] != '\0' && i < gpu->n_migs; i++)
        if (is_whole || is_file_given(s, gpu, &gpu->migs[i]))
            r = add_mig(s, cdi, gpu, &gpu->migs[i], index, n_migs++, err);
    return r < 0 ? r : (int)(cdi->n_devices - before);
}

/* In PCI bus order, like NVML; a container's GPUs get new indexes, as inside it. */
static int add_devices(const struct source *s, struct nvl_cdi *cdi, struct nvl_error *err)
{
    int n = 0;

    for (size_t i = 0; i < s->host.gpus.count; i++) {
        const struct nvl_gpu *gpu = &s->host.gpus.items[i];
        int r = add_gpu_and_migs(s, cdi, gpu, s->is_container ? n : gpu->index, err);
        if (r < 0)
            return r;
        n += r > 0;
    }
    take_nodes(&s->resolved, false, &nvl_cdi_add(cdi, "all")->nodes);
    return 0;
}

/* An engine starts no container while a node is missing; a named node exists again after the next boot. */
static void look_at_nodes(const struct source *s, struct nvl_strv *warnings)
{
    for (size_t i = 0; i < s->resolved.n_nodes; i++) {
        struct nvl_node node = s->resolved.nodes[i];
        nvl_node_check(s->host.root, &node);
        if (node.state != NVL_NODE_OK && node.state != NVL_NODE_MODE)
            nvl_strv_pushf(warnings,
                           "%s is named but is %s: no container with a GPU starts until it is fixed; "
                           "`nvlxc doctor` says how",
                           node.path,
                           node.state == NVL_NODE_STALE ? "stale" : nvl_node_state_name(node.state));
    }
}

/* Some programs open it even without graphics, if it is there. */
static void add_modeset(const struct source *s, struct nvl_cdi_edits *edits)
{
    struct nvl_node node = nvl_node_make(NVL_NODE_MODESET, 0, false, &s->host.majors, &s->host.params);

    nvl_node_check(s->host.root, &node);
    if (node.state == NVL_NODE_OK)
        nvl_strv_push_once(&edits->nodes, node.path);
}

/* Each library by its soname, in the last folders that the loaders of Debian, its relatives and Arch search
 * (/usr/lib), and those of Fedora and its relatives. */
static int bind_each_library(const struct nvl_root *bundle, const char *source, struct nvl_cdi_edits *edits,
                             struct nvl_error *err)
{
    static const char kind[] = "lib64 ";
    nvl_autofree char *sonames = NULL;
    size_t len, pos = 0, line_len;
    const char *line;

    int r = nvl_root_read(bundle, "/sonames", NVL_SONAMES_MAX, &sonames, &len);
    if (r < 0)
        return nvl_error_host(err, r, "cannot read %s/sonames: %s", bundle->name, strerror(-r));
    while (nvl_next_line(sonames, len, &pos, &line, &line_len)) {
        nvl_autofree char *copy = nvl_xstrndup(line, line_len);
        if (!nvl_has_prefix(copy, kind))
            continue;
        const char *soname = copy + strlen(kind);
        nvl_autofree char *file = nvl_xasprintf("%s/lib64/%s", source, soname),
                          *debian = nvl_xasprintf("/usr/lib/%s", soname),
                          *fedora = nvl_xasprintf("/usr/lib64/%s", soname);
        nvl_cdi_bind(edits, file, debian);
        nvl_cdi_bind(edits, file, fedora);
    }
    return 0;
}

/* Where programs find it without ldconfig. */
static int bind_libraries(const struct nvl_root *bundle, const char *source, struct nvl_cdi_edits *edits,
                          struct nvl_error *err)
{
    nvl_autofree char *libraries = nvl_xasprintf("%s/lib64", source);
    const char *const *folder = nvl_machine()->hwcaps;

    if (*folder == NULL)
        return bind_each_library(bundle, source, edits, err);
    for (; *folder != NULL; folder++)
        nvl_cdi_bind(edits, libraries, *folder);
    return 0;
}

/* `seen_at`: where the engine sees the bundle. A missing file would keep containers from starting. */
static int add_bundle_files(const struct source *s, const char *seen_at, struct nvl_cdi_edits *edits,
                            struct nvl_error *err)
{
    const char *version = s->host.driver.version;
    nvl_autofree char *folder = nvl_xasprintf(NVL_BUNDLE_DIR "/%s", version);
    nvl_autofree char *source = nvl_xstrdup(seen_at != NULL ? seen_at : folder);
    nvl_auto(nvl_strv_clear) struct nvl_strv paths = {0}, files = {0};
    nvl_auto(nvl_root_close) struct nvl_root bundle = NVL_ROOT_NONE;

    int fd = nvl_bundle_is_present(s->host.root, version)
                 ? nvl_root_openat(s->host.root, folder, O_PATH | O_DIRECTORY)
                 : -ENOENT;
    if (fd < 0) {
        nvl_error_host(err, fd, "no bundle of the loaded driver %s in %s", version, NVL_BUNDLE_DIR);
        nvl_error_hint(err, "nvlxc driver sync");
        return fd;
    }
    nvl_root_from_fd(&bundle, fd, folder);
    nvl_cdi_bind(edits, source, NVL_MOUNT_POINT);
    int r = bind_libraries(&bundle, source, edits, err);
    if (r < 0)
        return r;
    nvl_entries_links(s->grant.capabilities, &bundle, &paths, &files);
    for (size_t i = 0; i < paths.count; i++) {
        nvl_autofree char *file = nvl_xasprintf("%s%s", source, files.items[i]);
        nvl_cdi_bind(edits, file, paths.items[i]);
    }
    return 0;
}

static int make_cdi(const struct source *s, struct nvl_cdi *cdi, struct nvl_strv *warnings,
                    struct nvl_error *err)
{
    nvl_autofree char *capabilities = nvl_capabilities_format(s->grant.capabilities);

    int r = s->grant.delivery.libraries == NVL_LIBRARIES_BUNDLE
                ? add_bundle_files(s, s->is_container ? s->home : NULL, &cdi->edits, err)
                : 0;
    if (r == 0)
        r = add_devices(s, cdi, err);
    if (r < 0)
        return r;
    /* void: NVIDIA's own runtime, if installed too, leaves such a container alone */
    nvl_strv_push(&cdi->edits.env, NVL_ENV_DEVICES "=void");
    nvl_strv_pushf(&cdi->edits.env, NVL_ENV_CAPABILITIES "=%s", capabilities);
    take_nodes(&s->resolved, true, &cdi->edits.nodes);
    if (!s->is_container)
        add_modeset(s, &cdi->edits);
    look_at_nodes(s, warnings);
    return 0;
}

int nvl_cdi_of_host(const struct nvl_root *root, const char *capabilities, struct nvl_cdi *cdi,
                    struct nvl_strv *warnings, struct nvl_error *err)
{
    struct source nvl_auto(cdi_source_clear) s = {0};
    nvl_auto(nvl_strv_clear) struct nvl_strv all = {0};

    nvl_strv_push(&all, "all");
    int r = nvl_request_parse(&all, capabilities, false, &s.grant, err);
    if (r == 0)
        r = nvl_host_read(&s.host, root, NVL_GPUS_ALL, err);
    if (r == 0)
        r = nvl_request_resolve(&s.host, &s.grant, false, err);
    if (r < 0)
        return r;
    nvl_grant_resolve(&s.grant, &s.host, &s.resolved);
    if (s.resolved.n_gpus == 0) {
        nvl_error_host(err, -ENODEV, "%s", s.resolved.missing.items[0]);
        nvl_error_hint(err, "nvlxc doctor");
        return -ENODEV;
    }
    return make_cdi(&s, cdi, warnings, err);
}

static int read_container_grant(const struct nvl_target *target, struct nvl_grant *grant,
                                struct nvl_error *err)
{
    int r = nvl_effective_grant(&target->effective, grant, err);

    if (r < 0)
        return nvl_error_prefix(err, "%s", target->container->config_path);
    if (r > 0)
        return 0;
    nvl_error_set(err, -ENOENT, "%s has no grant from nvlxc: there is nothing to pass on", target->name);
    nvl_error_hint(err, "nvlxc attach %s", target->word);
    return -ENOENT;
}

/* In a root file system that cannot be read, where the driver usually is. */
static const char *find_home(const struct nvl_root *root, const struct nvl_target *target)
{
    nvl_auto(nvl_root_close) struct nvl_root rootfs = NVL_ROOT_NONE;
    nvl_autofree char *why = NULL;
    struct nvl_idmap map;

    if (nvl_idmap_read(&target->effective, &map, NULL) < 0 ||
        nvl_container_open_rootfs(root, target->container, &target->effective, &map, &rootfs, &why) < 0)
        return nvl_homes[0];
    return nvl_home(&rootfs);
}

int nvl_cdi_of_container(const struct nvl_root *root, const char *name, struct nvl_cdi *cdi,
                         struct nvl_strv *warnings, struct nvl_error *err)
{
    struct nvl_target nvl_auto(nvl_target_close) target = {0};
    struct source nvl_auto(cdi_source_clear) s = {.is_container = true};

    int r = nvl_target_open(root, name, &target, err);
    if (r == 0)
        r = read_container_grant(&target, &s.grant, err);
    if (r == 0)
        r = nvl_host_read(&s.host, root, NVL_GPUS_ALL, err);
    if (r < 0)
        return r;
    s.home = find_home(root, &target);
    nvl_grant_resolve(&s.grant, &s.host, &s.resolved);
    for (size_t i = 0; i < s.resolved.missing.count; i++)
        nvl_strv_push(warnings, s.resolved.missing.items[i]);
    if (s.resolved.n_gpus == 0) {
        nvl_error_host(err, -ENODEV, "this host has none of the GPUs granted to %s", target.name);
        nvl_error_hint(err, "nvlxc show %s", target.word);
        return -ENODEV;
    }
    if (s.grant.delivery.libraries != NVL_LIBRARIES_BUNDLE)
        nvl_strv_pushf(warnings,
                       "%s does not have the driver from nvlxc (--libraries %s): the specification has only "
                       "the nodes",
                       target.name, nvl_libraries_mode_name(s.grant.delivery.libraries));
    return make_cdi(&s, cdi, warnings, err);
}
