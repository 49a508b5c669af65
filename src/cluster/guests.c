/* Reads the containers of all nodes. */
#include "cluster/guests.h"

#include <errno.h>

#include "base/error.h"

/* Reads one container, whether it has a GPU or not: *has says. */
static int read_guest(const struct nvl_cluster *cluster, const struct nvl_containers *containers,
                      struct nvl_container *c, struct nvl_cluster_guest *guest, bool *has,
                      struct nvl_error *err)
{
    const struct nvl_cluster_node *node = nvl_cluster_node_of(cluster, c->node);
    struct nvl_host unknown = {.root = cluster->root};
    const struct nvl_host *host = node != NULL && node->is_known ? &node->host : &unknown;

    *has = false;
    *guest = (struct nvl_cluster_guest){.container = c, .node = node};
    guest->name = nvl_container_full_name(containers, c);
    int r = nvl_holding_read(c, host, &guest->holding, err);
    if (r < 0)
        return r;
    const struct nvl_grant *grant = &guest->holding.grant;
    guest->has_grant = !guest->holding.is_by_hand && grant->devices != NVL_DEVICES_VOID;
    *has = guest->has_grant || guest->holding.resolved.n_gpus > 0;
    if (host == &unknown) /* nothing follows from it */
        nvl_resolved_clear(&guest->holding.resolved);
    return 0;
}

static void guest_clear(struct nvl_cluster_guest *guest)
{
    nvl_holding_clear(&guest->holding);
    free(guest->name);
    free(guest->container);
    *guest = (struct nvl_cluster_guest){0};
}

static void add_guest(const struct nvl_cluster *cluster, struct nvl_cluster_guests *guests, size_t i)
{
    struct nvl_container *c = nvl_container_at(&guests->containers, i);
    struct nvl_cluster_guest guest = {.container = c};
    struct nvl_error err = {0};
    bool has = false;

    if (nvl_cluster_node_of(cluster, c->node) != NULL &&
        read_guest(cluster, &guests->containers, c, &guest, &has, &err) < 0)
        nvl_strv_push(&guests->unread, err.message);
    if (has)
        *NVL_APPEND(guests->items, guests->count) = guest;
    else
        guest_clear(&guest);
}

int nvl_cluster_guests_read(const struct nvl_cluster *cluster, struct nvl_cluster_guests *guests,
                            struct nvl_error *err)
{
    *guests = (struct nvl_cluster_guests){0};
    int r = nvl_containers_find(cluster->root, true, &guests->containers, err);

    for (size_t i = 0; i < guests->containers.unread.count; i++)
        nvl_strv_push(&guests->unread, guests->containers.unread.items[i]);
    for (size_t i = 0; r == 0 && i < guests->containers.count; i++)
        add_guest(cluster, guests, i);
    return r;
}

void nvl_cluster_guests_clear(struct nvl_cluster_guests *guests)
{
    for (size_t i = 0; i < guests->count; i++)
        guest_clear(&guests->items[i]);
    free(guests->items);
    nvl_strv_clear(&guests->unread);
    nvl_containers_clear(&guests->containers);
    *guests = (struct nvl_cluster_guests){0};
}

/* Why the container is not among them. */
static int explain_absence(const struct nvl_cluster *cluster, const struct nvl_cluster_guests *guests,
                           struct nvl_container *c, struct nvl_error *err)
{
    nvl_auto(guest_clear) struct nvl_cluster_guest guest = {.container = c};
    bool has = false;

    if (c->kind != NVL_CONTAINER_PVE)
        return nvl_error_set(err, -EINVAL, "%s is no CT of Proxmox's: no other node can run it", c->name);
    if (nvl_cluster_node_of(cluster, c->node) == NULL)
        return nvl_error_set(err, -EREMOTE, "CT %s is in the folder of %s, which is no member of the cluster",
                             c->name, c->node != NULL ? c->node : "this node");
    int r = read_guest(cluster, &guests->containers, c, &guest, &has, err);
    if (r < 0)
        return r;
    nvl_error_set(err, -ENODATA, "CT %s has no grant, so nothing says which nodes could run it", guest.name);
    nvl_error_hint(err, "%s%s%snvlxc attach %s", c->node != NULL ? "ssh " : "",
                   c->node != NULL ? c->node : "", c->node != NULL ? " " : "", guest.name);
    return -ENODATA;
}

int nvl_cluster_guest_by_name(const struct nvl_cluster *cluster, const struct nvl_cluster_guests *guests,
                              const char *name, const struct nvl_cluster_guest **found, struct nvl_error *err)
{
    nvl_autofree struct nvl_container *c = NULL;
    int r = nvl_container_by_name(cluster->root, &guests->containers, name, &c, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < guests->count; i++) {
        const struct nvl_cluster_guest *guest = &guests->items[i];
        if (c->kind == NVL_CONTAINER_PVE && guest->container->kind == NVL_CONTAINER_PVE && guest->has_grant &&
            strcmp(guest->container->name, c->name) == 0) {
            *found = guest;
            return 0;
        }
    }
    return explain_absence(cluster, guests, TAKE_PTR(c), err);
}

void nvl_cluster_holders(const struct nvl_cluster_guests *guests, const struct nvl_cluster_node *node,
                         const struct nvl_gpu *gpu, const struct nvl_mig *mig, struct nvl_strv *names)
{
    for (size_t i = 0; i < guests->count; i++)
        if (guests->items[i].node == node && nvl_holding_has(&guests->items[i].holding, gpu, mig))
            nvl_strv_pushf(names, "%s%s", guests->items[i].name,
                           guests->items[i].holding.is_by_hand ? " (by hand)" : "");
    for (size_t i = 0; mig == NULL && i < node->vms.count; i++) {
        nvl_autofree char *name = nvl_xasprintf("VM %s", node->vms.items[i].vm);
        if (!node->vms.items[i].goes && nvl_vm_device_is(&node->vms.items[i], gpu->pci))
            nvl_strv_push_once(names, name);
    }
}
