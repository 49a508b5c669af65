/* Reads a cluster as the commands show it, and makes its JSON. */
#include "cluster/view.h"

#include "host/gpu_state.h"
#include "host/json.h"

int nvl_cluster_view_read(const struct nvl_root *root, struct nvl_cluster_view *v, struct nvl_error *err)
{
    *v = (struct nvl_cluster_view){0};
    int r = nvl_cluster_read(root, &v->cluster, err);

    if (r == 0)
        r = nvl_cluster_guests_read(&v->cluster, &v->guests, err);
    nvl_cluster_remarks(root, &v->cluster.removed, &v->warnings);
    for (size_t i = 0; i < v->guests.unread.count; i++)
        nvl_strv_push(&v->warnings, v->guests.unread.items[i]);
    return r;
}

void nvl_cluster_view_clear(struct nvl_cluster_view *v)
{
    nvl_strv_clear(&v->warnings);
    nvl_cluster_guests_clear(&v->guests);
    nvl_cluster_clear(&v->cluster);
}

static json_t *json_cluster_holders(const struct nvl_cluster_view *v, const struct nvl_cluster_node *node,
                                    const struct nvl_gpu *gpu)
{
    json_t *array = json_array();

    for (size_t i = 0; i < v->guests.count; i++) {
        const struct nvl_cluster_guest *guest = &v->guests.items[i];
        if (guest->node == node && nvl_holding_has(&guest->holding, gpu, NULL))
            json_array_append_new(array, json_pack("{s:o,s:b}", "container", nvl_json_text(guest->name),
                                                   "by_hand", (int)guest->holding.is_by_hand));
    }
    return array;
}

static json_t *json_cluster_vms(const struct nvl_cluster_node *node, const struct nvl_gpu *gpu)
{
    json_t *array = json_array();

    for (size_t i = 0; i < node->vms.count; i++) {
        const struct nvl_vm_device *vm = &node->vms.items[i];
        if (!vm->goes && nvl_vm_device_is(vm, gpu->pci))
            json_array_append_new(array, json_pack("{s:s,s:o,s:b}", "vm", vm->vm, "running",
                                                   node->is_here ? json_boolean(vm->runs) : json_null(),
                                                   "starts_at_boot", (int)vm->starts_at_boot));
    }
    return array;
}

static json_t *json_cluster_gpu(const struct nvl_cluster_view *v, const struct nvl_cluster_node *node,
                                const struct nvl_gpu *gpu)
{
    json_t *json = nvl_json_gpu(gpu), *migs = json_array();

    for (size_t i = 0; i < gpu->n_migs; i++)
        json_array_append_new(migs, nvl_json_mig_device(gpu, &gpu->migs[i]));
    json_object_set_new(json, "memory_total_bytes",
                        nvl_json_unsigned(gpu->memory > 0 ? (long long)gpu->memory : -1));
    json_object_set_new(json, "mig_devices", migs);
    json_object_set_new(json, "containers", json_cluster_holders(v, node, gpu));
    json_object_set_new(json, "virtual_machines", json_cluster_vms(node, gpu));
    return json;
}

json_t *nvl_cluster_gpus_json(const struct nvl_cluster_view *v, const struct nvl_cluster_node *node)
{
    json_t *gpus = node->is_known ? json_array() : json_null();

    for (size_t i = 0; i < node->host.gpus.count; i++)
        if (nvl_gpu_state(&node->host.gpus.items[i]) != NVL_GPU_IS_VIRTUAL)
            json_array_append_new(gpus, json_cluster_gpu(v, node, &node->host.gpus.items[i]));
    return gpus;
}

json_t *nvl_cluster_node_json(const struct nvl_cluster_view *v, const struct nvl_cluster_node *node)
{
    json_t *online = v->cluster.members.is_online_known ? json_boolean(node->is_online) : json_null();

    return json_pack("{s:s,s:b,s:o,s:s,s:o,s:o,s:o}", "cluster_node", node->name, "here", (int)node->is_here,
                     "online", online, "file", nvl_node_file_state_name(node->file), "why",
                     nvl_json_string(node->why), "published", nvl_json_string(node->when), "driver",
                     node->is_known ? nvl_json_driver(&node->host.driver) : json_null());
}

static json_t *json_removed(const struct nvl_strv *removed)
{
    json_t *array = json_array();

    for (size_t i = 0; i < removed->count; i++)
        json_array_append_new(array, json_string(removed->items[i]));
    return array;
}

json_t *nvl_cluster_json(const struct nvl_cluster_view *v, json_t *nodes)
{
    return json_pack("{s:o,s:b,s:o,s:o}", "cluster", nvl_json_string(v->cluster.members.cluster), "quorum",
                     (int)v->cluster.has_quorum, "removed_nodes", json_removed(&v->cluster.removed),
                     "cluster_nodes", nodes);
}
