/* What commands say of a Proxmox cluster with --cluster, and `host publish`. */
#pragma once

#include "cli/command.h"

struct nvl_cluster_view; /* cluster/view.h */

/* Reads it and says its warnings. */
int nvl_cluster_view_open(const struct nvl_context *ctx, struct nvl_cluster_view *view,
                          struct nvl_error *err);
/* Each prints for people or as JSON. Returns the exit status, or a negative errno with err set. */
int nvl_gpus_of_cluster(const struct nvl_context *ctx, bool is_wide, struct nvl_error *err);
int nvl_show_in_cluster(const struct nvl_context *ctx, const char *name, struct nvl_error *err);
int nvl_host_publish(const struct nvl_context *ctx, const char *wait, bool dry_run, struct nvl_error *err);
/* What `list` has to know of the cluster. */
struct nvl_cluster_names {
    char *here;              /* this node's name; NULL if it is not known */
    struct nvl_strv removed; /* nodes whose folder stays: their containers are not there any more */
};
/* Warns of lost quorum and removed nodes, and that a host is in no cluster, which is no error here. */
int nvl_cluster_names_read(const struct nvl_context *ctx, struct nvl_cluster_names *names,
                           struct nvl_error *err);
void nvl_cluster_names_clear(struct nvl_cluster_names *names);
