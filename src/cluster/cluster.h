/* What a Proxmox cluster has of GPUs, as its nodes publish it; of this node as it is now. */
#pragma once

#include "cluster/members.h"
#include "cluster/node_file.h"
#include "host/host.h"
#include "host/virtual_machines.h"

struct nvl_cluster_node {
    const char *name; /* in the list of members */
    bool is_here, is_online;
    enum nvl_node_file_state file;
    char *why;                 /* what is wrong with the file; NULL for a good one */
    char when[24];             /* of the file; "" without a good one */
    bool is_outdated;          /* this node: its file says something else than what it has now */
    bool is_known;             /* `host` says what it has: this node, and each with a good file */
    struct nvl_host host;      /* driver and gpus; majors and params only of this node */
    struct nvl_vm_devices vms; /* of its virtual machines */
};

struct nvl_cluster {
    const struct nvl_root *root;
    struct nvl_members members;
    bool has_quorum;
    struct nvl_cluster_node *nodes; /* by name */
    size_t count;
    struct nvl_strv removed; /* their folders are not read */
};

/* -ENODEV on a host that is in no cluster. What is wrong with a node's file is no error. The caller clears it
 * in any case. */
int nvl_cluster_read(const struct nvl_root *root, struct nvl_cluster *cluster, struct nvl_error *err);
void nvl_cluster_clear(struct nvl_cluster *cluster);
/* NULL: this one. NULL for none. */
const struct nvl_cluster_node *nvl_cluster_node_of(const struct nvl_cluster *cluster, const char *name);
/* What to know before what the nodes say: no quorum, removed nodes. A line each. */
void nvl_cluster_remarks(const struct nvl_root *root, const struct nvl_strv *removed,
                         struct nvl_strv *remarks);
/* What is with the file of the node, which is not a good one, and what to do; the caller frees. */
char *nvl_cluster_node_silence(const struct nvl_cluster_node *node);
