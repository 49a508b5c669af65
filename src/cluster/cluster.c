/* Reads what all nodes say. */
#include "cluster/cluster.h"

#include "base/root.h"
#include "cluster/publish.h"
#include "host/pve_node.h"
#include "host/system.h"

/* Takes what the file says over. */
static void take_node_file(const struct nvl_root *root, struct nvl_cluster_node *node,
                           struct nvl_node_file *file)
{
    node->host =
        (struct nvl_host){.root = root, .driver = file->driver, .gpus = file->gpus, .node = node->name};
    file->gpus = (struct nvl_gpus){0};
    node->is_known = true;
}

static int read_here(const struct nvl_root *root, struct nvl_cluster_node *node, struct nvl_node_file *file,
                     struct nvl_error *err)
{
    nvl_auto(nvl_node_file_clear) struct nvl_node_file now = {0};
    int r = nvl_host_read(&node->host, root, NVL_GPUS_ALL, err);

    if (r < 0)
        return r;
    node->is_known = true;
    if (node->file != NVL_NODE_FILE_GOOD)
        return 0;
    nvl_node_file_now(&node->host, node->name, file, &now);
    for (size_t i = 0; i < node->host.gpus.count; i++) {
        const struct nvl_gpu *own = nvl_gpu_by_pci(&now.gpus, node->host.gpus.items[i].pci);
        node->host.gpus.items[i].memory = own != NULL ? own->memory : 0;
    }
    node->is_outdated = !nvl_node_file_is_same(file, &now);
    return 0;
}

static int read_node(const struct nvl_root *root, struct nvl_cluster_node *node, struct nvl_error *err)
{
    nvl_auto(nvl_node_file_clear) struct nvl_node_file file = {0};
    int r = 0;

    node->file = nvl_node_file_read(root, node->name, &file, &node->why);
    nvl_copy(node->when, sizeof node->when, file.when, strlen(file.when));
    if (node->is_here)
        r = read_here(root, node, &file, err);
    else if (node->file == NVL_NODE_FILE_GOOD)
        take_node_file(root, node, &file);
    if (node->is_here)
        nvl_vm_devices_read(root, &node->vms);
    else
        nvl_vm_devices_read_of(root, node->name, &node->vms);
    return r;
}

int nvl_cluster_read(const struct nvl_root *root, struct nvl_cluster *cluster, struct nvl_error *err)
{
    *cluster = (struct nvl_cluster){.root = root};
    int r = nvl_members_need(root, &cluster->members, err);

    if (r < 0)
        return r;
    cluster->has_quorum = nvl_cluster_has_quorum(root, NULL);
    nvl_members_removed(root, &cluster->members, &cluster->removed);
    for (size_t i = 0; r == 0 && i < cluster->members.count; i++) {
        const struct nvl_member *member = &cluster->members.items[i];
        const char *here = cluster->members.here;
        struct nvl_cluster_node *node = NVL_APPEND(cluster->nodes, cluster->count);
        node->name = member->name;
        node->is_here = here != NULL && strcmp(here, member->name) == 0;
        node->is_online = member->is_online || node->is_here;
        r = read_node(root, node, err);
    }
    return r;
}

const struct nvl_cluster_node *nvl_cluster_node_of(const struct nvl_cluster *cluster, const char *name)
{
    for (size_t i = 0; i < cluster->count; i++)
        if (name != NULL ? strcmp(cluster->nodes[i].name, name) == 0 : cluster->nodes[i].is_here)
            return &cluster->nodes[i];
    return NULL;
}

void nvl_cluster_remarks(const struct nvl_root *root, const struct nvl_strv *removed,
                         struct nvl_strv *remarks)
{
    if (!nvl_cluster_has_quorum(root, NULL))
        nvl_strv_push(remarks, "the cluster has no quorum: what the other nodes say may be old");
    for (size_t i = 0; i < removed->count; i++)
        nvl_strv_pushf(remarks,
                       "%s is no member of the cluster, so its folder " NVL_NODES_DIR "/%s is not looked at",
                       removed->items[i], removed->items[i]);
}

char *nvl_cluster_node_silence(const struct nvl_cluster_node *node)
{
    static const char file[] = "the " NVL_NODE_FILE " of";

    if (node->file == NVL_NODE_FILE_ABSENT)
        return nvl_xasprintf("%s publishes nothing: run `nvlxc host publish` on %s", node->name, node->name);
    if (node->file == NVL_NODE_FILE_NEWER && !node->is_here)
        return nvl_xasprintf("%s %s %s: upgrade nvlxc here", file, node->name, node->why);
    if (node->file == NVL_NODE_FILE_OLDER && !node->is_here)
        return nvl_xasprintf("%s %s %s: upgrade nvlxc on %s", file, node->name, node->why, node->name);
    return nvl_xasprintf("%s %s %s: run `nvlxc host publish` on %s", file, node->name, node->why, node->name);
}

void nvl_cluster_clear(struct nvl_cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        struct nvl_cluster_node *node = &cluster->nodes[i];
        free(node->why);
        nvl_host_clear(&node->host);
        nvl_vm_devices_clear(&node->vms);
    }
    free(cluster->nodes);
    nvl_strv_clear(&cluster->removed);
    nvl_members_clear(&cluster->members);
    *cluster = (struct nvl_cluster){0};
}
