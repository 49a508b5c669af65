/* Reads the facts that checks judge: of the host, including the containers that should have a GPU, and of one
 * container. */
#include "doctor/facts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "container/target.h"
#include "container/entry.h"
#include "container/foreign.h"
#include "container/gpu_use.h"
#include "container/rootfs_path.h"
#include "container/state.h"
#include "driver/replace.h"
#include "host/compat_table.h"
#include "host/gpu_nodes.h"

/* Only GPUs that nvidia does not drive raise the question which driver fits. */
static int read_support(struct nvl_host_facts *f, struct nvl_error *err)
{
    bool all_driven = f->host.driver.loaded;

    for (size_t i = 0; i < f->host.gpus.count; i++)
        all_driven = all_driven && (f->host.gpus.items[i].driver == NVL_GPU_NVIDIA ||
                                    nvl_gpu_state(&f->host.gpus.items[i]) == NVL_GPU_IS_VIRTUAL);
    return all_driven ? 0 : nvl_support_read(f->root, &f->support, err);
}

static void read_installed(struct nvl_host_facts *f, enum nvl_facts_how how)
{
    if (how == NVL_FACTS_QUICK && f->host.driver.loaded)
        nvl_installed_driver_glance(f->root, &f->system, &f->userspace, &f->host.driver, &f->installed);
    else
        nvl_installed_driver_read(f->root, &f->system, &f->userspace, &f->host.driver, &f->installed);
}

/* For a GPU that the driver does not support, which driver would. */
static void explain_gpu(const struct nvl_host_facts *f, const struct nvl_gpu *gpu,
                        struct nvl_gpu_reason *reason)
{
    struct nvl_driver_need need = nvl_driver_need_of(f);

    nvl_gpu_explain(&f->surroundings, gpu, reason);
    if (reason->state == NVL_GPU_IS_UNSUPPORTED)
        nvl_advise_gpu(&need, gpu, reason->fit, f->surroundings.version, &reason->fix);
}

static void read_reasons(struct nvl_host_facts *f)
{
    const struct nvl_driver_version *loaded = &f->host.driver;
    f->surroundings =
        (struct nvl_gpu_surroundings){.host = &f->host,
                                      .system = &f->system,
                                      .modprobe = &f->modprobe,
                                      .vms = &f->vms,
                                      .support = &f->support,
                                      .version = loaded->loaded ? loaded->version : f->installed.version,
                                      .flavour = loaded->loaded ? loaded->flavour : f->installed.flavour};

    if (f->host.gpus.count == 0)
        return;
    nvl_vm_devices_read(f->root, &f->vms);
    f->reasons = nvl_xcalloc(f->host.gpus.count, sizeof *f->reasons);
    for (size_t i = 0; i < f->host.gpus.count; i++)
        explain_gpu(f, &f->host.gpus.items[i], &f->reasons[i]);
}

/* A node that Proxmox needs before anything else of a start, or that a mount silently leaves out. nvlxc's own
 * mount entries need no check: its pre-start hook runs before them. */
static bool needs_node_first(const struct nvl_setting *s)
{
    if (s->owner == NVL_OWNER_OTHER || strstr(s->value, "/dev/nvidia") == NULL)
        return false;
    return nvl_dev_index(s->key) >= 0 ||
           (s->owner == NVL_OWNER_BY_HAND && strcmp(s->key, NVL_KEY_ENTRY) == 0);
}

static bool starts_at_boot(const struct nvl_container *c, const struct nvl_effective *effective)
{
    const char *value =
        nvl_effective_get(effective, c->kind == NVL_CONTAINER_PVE ? "onboot" : "lxc.start.auto");

    return value != NULL && strcmp(value, "1") == 0;
}

/* Wherever it stands in the file, and in any form: a line that is not read, a section, a comment. */
static bool speaks_of_gpus(const struct nvl_config *config)
{
    static const char *const words[] = {"nvidia", "nvlxc", "gpu", "cuda"};

    for (size_t i = 0; i < NVL_LENGTH(words); i++)
        if (strcasestr(config->text, words[i]) != NULL)
            return true;
    nvl_autofree bool *strays = nvl_config_strays(config); /* device rules contain only numbers */
    return strays != NULL;
}

static void read_gpu_user(struct nvl_host_facts *f, size_t index)
{
    nvl_autofree struct nvl_container *c = nvl_container_at(&f->containers, index);
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = {0};
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    struct nvl_error ignored;
    bool by_hand = false, needs_nodes = false;

    if (c->node != NULL)
        return;
    /* unreadable configs are reported later, by the caller, which reads them again */
    int r = nvl_container_read_config(f->root, c, &config, &ignored);
    if (r == -ENOENT) /* it was removed meanwhile */
        return;
    bool is_suspect = r < 0 || speaks_of_gpus(&config);
    is_suspect = nvl_effective_read(f->root, c, &config, &effective, &ignored) < 0 || is_suspect;
    bool has_grant =
        nvl_effective_grant(&effective, &grant, &ignored) == 1 && grant.devices != NVL_DEVICES_VOID;
    for (size_t i = 0; i < effective.count; i++) {
        by_hand |= effective.items[i].owner == NVL_OWNER_BY_HAND;
        needs_nodes |= needs_node_first(&effective.items[i]);
    }
    if (has_grant && nvl_mark_gpus_used(f->root, c, &grant, &f->host.gpus) && f->user_of_silent == NULL)
        f->user_of_silent = nvl_container_full_name(&f->containers, c);
    bool is_user = has_grant || by_hand;
    if (is_user || is_suspect)
        *NVL_APPEND(f->suspects, f->n_suspects) = (struct nvl_suspect){.index = index, .is_user = is_user};
    if (!is_user)
        return;
    *NVL_APPEND(f->users, f->n_users) = (struct nvl_gpu_user){
        .name = nvl_container_full_name(&f->containers, c),
        .index = index,
        .has_grant = has_grant,
        .is_exclusive = has_grant && grant.delivery.exclusive,
        .capabilities = has_grant ? grant.capabilities : 0,
        .needs_nodes_first = needs_nodes || c->user != NULL,
        .starts_at_boot = starts_at_boot(c, &effective),
    };
}

/* Reads each config once: who should have a GPU, who is suspect, and which GPUs a running container must have
 * used. */
static void read_gpu_users(struct nvl_host_facts *f)
{
    for (size_t i = 0; i < f->containers.count; i++)
        read_gpu_user(f, i);
}

int nvl_host_facts_read(struct nvl_host_facts *f, const struct nvl_root *root, enum nvl_facts_how how,
                        struct nvl_error *err)
{
    *f = (struct nvl_host_facts){.root = root};
    int r = nvl_host_read(&f->host, root, NVL_GPUS_ALL, err);
    if (r == 0)
        r = nvl_modules_read(root, &f->modules, err);
    if (r == 0)
        r = nvl_userspace_read(root, &f->userspace, err);
    if (r == 0)
        r = nvl_bundles_list(root, &f->host.driver, &f->userspace, &f->bundles, err);
    if (r == 0)
        r = nvl_system_read(root, &f->system, err);
    if (r == 0)
        r = read_support(f, err);
    if (r == 0)
        r = nvl_containers_find(root, false, &f->containers, err);
    f->is_cluster_gone = r == -ENOTCONN; /* cluster-gone says so */
    if (f->is_cluster_gone)
        r = 0;
    if (r < 0) {
        nvl_host_facts_clear(f);
        return r;
    }
    read_installed(f, how);
    nvl_modprobe_read(root, &f->modprobe);
    f->has_nvidia_modprobe = nvl_root_exists(root, NVL_MODPROBE_PROGRAM);
    nvl_host_nodes(&f->host, &f->modules, &f->nodes, &f->n_nodes);
    read_gpu_users(f);
    read_reasons(f);
    return 0;
}

struct nvl_driver_need nvl_driver_need_of(const struct nvl_host_facts *facts)
{
    return (struct nvl_driver_need){&facts->system, &facts->host.gpus, &facts->host.driver, &facts->installed,
                                    &facts->support};
}

void nvl_host_facts_clear(struct nvl_host_facts *f)
{
    for (size_t i = 0; f->reasons != NULL && i < f->host.gpus.count; i++)
        nvl_gpu_reason_clear(&f->reasons[i]);
    free(f->reasons);
    nvl_vm_devices_clear(&f->vms);
    free(f->user_of_silent);
    nvl_host_clear(&f->host);
    nvl_userspace_clear(&f->userspace);
    nvl_bundles_clear(&f->bundles);
    nvl_system_clear(&f->system);
    nvl_support_clear(&f->support);
    nvl_installed_driver_clear(&f->installed);
    nvl_modprobe_clear(&f->modprobe);
    nvl_containers_clear(&f->containers);
    free(f->nodes);
    for (size_t i = 0; i < f->n_users; i++)
        free(f->users[i].name);
    free(f->users);
    free(f->suspects);
    *f = (struct nvl_host_facts){0};
}

static void read_rootfs(struct nvl_container_facts *f)
{
    const struct nvl_root *root = f->host->root;

    f->is_running = nvl_container_is_running(root, f->container);
    if (f->is_running && nvl_root_is_machine(root))
        f->init = nvl_container_init(root, f->container, &f->init_error);
    if (f->init < 0)
        f->init = 0;
    f->rootfs_code = f->init > 0 ? nvl_container_open_running(f->container, f->init, &f->rootfs) : -ENOENT;
    if (f->rootfs_code == -ETIMEDOUT) /* what lies below its mounts is not what its programs see */
        f->init = 0;
    else if (f->rootfs_code < 0)
        f->rootfs_code = nvl_container_open_rootfs(root, f->container, &f->effective, &f->idmap, &f->rootfs,
                                                   &f->rootfs_why);
    nvl_root_watch(&f->rootfs, geteuid() == 0);
}

/* What follows from the config. */
static void read_wishes(struct nvl_container_facts *f, const struct nvl_effective *before)
{
    const struct nvl_host_facts *host = f->host;
    struct nvl_error ignored;

    nvl_effective_read_again(host->root, f->container, &f->config, before, &f->effective, &f->incomplete);
    f->has_grant = nvl_effective_grant(&f->effective, &f->grant, &ignored) == 1;
    if (f->has_grant)
        nvl_grant_resolve(&f->grant, &host->host, &f->resolved);
    if (f->incomplete.code == 0)
        f->filter = nvl_device_filter(f->container, &f->effective);
    nvl_idmap_read(&f->effective, &f->idmap, &f->idmap_error);
}

int nvl_container_facts_read_config(struct nvl_container_facts *f, const struct nvl_host_facts *host,
                                    struct nvl_container *container, struct nvl_error *err)
{
    *f = (struct nvl_container_facts){
        .host = host, .depth = NVL_DEPTH_CONFIG, .container = container, .rootfs = NVL_ROOT_NONE};
    int r = nvl_container_read_config(host->root, container, &f->config, err);
    if (r < 0)
        return r;
    f->name = nvl_container_full_name(&host->containers, container);
    read_wishes(f, NULL);
    for (size_t i = 0; i < f->resolved.n_nodes; i++)
        nvl_node_check(host->root, &f->resolved.nodes[i]);
    return 0;
}

static bool is_same_line(const struct nvl_config *a, size_t i, const struct nvl_config *b, size_t k)
{
    const struct nvl_line *one = &a->lines[i], *two = &b->lines[k];

    return one->len == two->len && memcmp(a->text + one->start, b->text + two->start, one->len) == 0;
}

/* Numbers the lines as the file has them now: that is what people look at. Lines that it does not have yet
 * keep the numbers that they will have. */
static void number_as_now(struct nvl_effective *effective, const struct nvl_config *now)
{
    const struct nvl_config *next = effective->config;
    nvl_autofree size_t *numbers = nvl_xcalloc(next->n_lines + 1, sizeof *numbers);

    for (size_t i = 0, from = 0; i < next->n_lines; i++) {
        size_t k = from;
        while (k < now->n_lines && !is_same_line(next, i, now, k))
            k++;
        numbers[i] = k < now->n_lines ? k + 1 : i + 1;
        from = k < now->n_lines ? k + 1 : from;
    }
    for (size_t i = 0; i < effective->count; i++)
        if (effective->items[i].line != NULL)
            effective->items[i].number = numbers[effective->items[i].line - next->lines];
}

void nvl_container_facts_of(struct nvl_container_facts *f, const struct nvl_host_facts *host,
                            const struct nvl_target *target, struct nvl_config *config)
{
    *f = (struct nvl_container_facts){.host = host,
                                      .depth = NVL_DEPTH_ALL,
                                      .container = nvl_xcalloc(1, sizeof *f->container),
                                      .name = nvl_xstrdup(target->name),
                                      .config = *config,
                                      .rootfs = NVL_ROOT_NONE};
    *f->container = *target->container; /* its texts stay the target's */
    *config = (struct nvl_config){0};
    read_wishes(f, &target->effective);
    number_as_now(&f->effective, &target->config);
    read_rootfs(f);
}

/* The next start may choose another GPU: that does not make the one wrong that it runs with. */
static void resolve_running(struct nvl_container_facts *f)
{
    const struct nvl_host *host = &f->host->host;
    nvl_autofree bool *has = nvl_xcalloc(host->gpus.count + 1, sizeof *has);
    struct stat st;

    if (f->init <= 0 || !f->has_grant || !nvl_grant_is_open(&f->grant))
        return;
    for (size_t i = 0; i < host->gpus.count; i++) {
        nvl_autofree char *path = nvl_xasprintf("/dev/nvidia%d", host->gpus.items[i].minor);
        has[i] = host->gpus.items[i].minor >= 0 &&
                 nvl_root_stat(&f->rootfs, path, AT_SYMLINK_NOFOLLOW, &st) == 0 && S_ISCHR(st.st_mode);
    }
    nvl_resolved_clear(&f->resolved);
    nvl_grant_resolve_running(&f->grant, host, has, &f->resolved);
    for (size_t i = 0; i < f->resolved.n_nodes; i++)
        nvl_node_check(f->host->root, &f->resolved.nodes[i]);
}

int nvl_container_facts_read(struct nvl_container_facts *f, const struct nvl_host_facts *host,
                             struct nvl_container *container, struct nvl_error *err)
{
    int r = nvl_container_facts_read_config(f, host, container, err);

    if (r < 0)
        return r;
    f->depth = NVL_DEPTH_ALL;
    read_rootfs(f);
    resolve_running(f);
    return 0;
}

void nvl_container_facts_clear(struct nvl_container_facts *f)
{
    nvl_resolved_clear(&f->resolved);
    nvl_grant_clear(&f->grant);
    nvl_effective_clear(&f->effective);
    nvl_config_clear(&f->config);
    nvl_root_close(&f->rootfs);
    free(f->rootfs_why);
    free(f->name);
    free(f->container);
    *f = (struct nvl_container_facts){.rootfs = NVL_ROOT_NONE};
}

int nvl_facts_read(const struct nvl_root *root, const char *name, struct nvl_host_facts *host,
                   struct nvl_container_facts *facts, struct nvl_error *err)
{
    struct nvl_container *container;

    int r = nvl_host_facts_read(host, root, NVL_FACTS_ANEW, err);
    if (r == 0)
        r = nvl_cluster_check(root, err);
    if (r == 0)
        r = nvl_container_by_name(root, &host->containers, name, &container, err);
    return r < 0 ? r : nvl_container_facts_read(facts, host, container, err);
}
