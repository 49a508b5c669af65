/* Who is in this node's Proxmox cluster. Sources: /etc/pve/.members, which pmxcfs makes of what corosync says
 * now (pve-cluster, status.c); where that names no nodes, as in a captured host or while corosync is down,
 * the nodelist of /etc/pve/corosync.conf (corosync.conf(5)). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct nvl_error;
struct nvl_root;
struct nvl_strv;

#define NVL_NODES_DIR     "/etc/pve/nodes"
#define NVL_NODE_NAME_MAX 64  /* a host name, with the NUL */
#define NVL_MEMBERS_MAX   256 /* corosync itself is for some thirty */

struct nvl_member {
    char name[NVL_NODE_NAME_MAX];
    bool is_online; /* also where nobody says that it is not */
};

struct nvl_members {
    struct nvl_member *items; /* by name */
    size_t count;             /* 0: this host is in no cluster */
    char *cluster;            /* its name; NULL if it is not known */
    char *here;               /* the name of this node; NULL if it is not known */
    bool is_online_known;
};

/* 0 also for a host that is in no cluster. -ENOTCONN on a Proxmox host without its cluster file system,
 * -EINVAL for files that do not say who is in. The caller clears them in any case. */
int nvl_members_read(const struct nvl_root *root, struct nvl_members *members, struct nvl_error *err);
/* The same, where a host that is in no cluster is an error (-ENODEV). */
int nvl_members_need(const struct nvl_root *root, struct nvl_members *members, struct nvl_error *err);
void nvl_members_clear(struct nvl_members *members);
bool nvl_is_member(const struct nvl_members *members, const char *node);
/* The nodes whose folder is below /etc/pve/nodes although they are no members: they were removed. */
void nvl_members_removed(const struct nvl_root *root, const struct nvl_members *members,
                         struct nvl_strv *removed);
/* Whether it is a name that Proxmox gives a node: letters, digits, and hyphens between them. */
bool nvl_is_node_name(const char *name);

/* The texts of the two files; for tests and fuzzing. -EINVAL for what is not in their form. */
int nvl_members_parse(const char *text, size_t len, struct nvl_members *members);
void nvl_members_parse_corosync(const char *text, size_t len, struct nvl_members *members);
