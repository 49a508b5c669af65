/* A grant's nodes and driver on their way into a container: everything of the host is opened first, as
 * detached mounts, where the host's paths are seen; then it is put into the root file system. The start hook
 * does both in the mount namespace of the container that is being started, `attach --live` the second in that
 * of one that runs. */
#pragma once

#include "grant/resolve.h"
#include "inject/proc_view.h"
#include "inject/outcome.h"

struct nvl_injection {
    const struct nvl_host *host;
    const struct nvl_grant *grant;
    struct nvl_outcome *outcome;
    bool binds_nodes;  /* else others inject them */
    bool into_running; /* much is there already then, and not worth a word */
    struct nvl_resolved resolved;
    struct nvl_injected_node {
        int fd;       /* a detached mount, or why there is none */
        bool is_copy; /* the container's own copy (inject/node_copies.h) */
    } * nodes;        /* one for each of `resolved` */
    struct nvl_root bundle;
    int bundle_mount; /* or why there is none */
    struct nvl_proc_view view;
    int view_error;
};

/* Opens what the grant comes to on the host, for the container of that name. What it names in vain is a
 * problem of the outcome already. host, grant and outcome are borrowed. */
void nvl_inject_open(struct nvl_injection *in, const char *container, const struct nvl_host *host,
                     const struct nvl_grant *grant, struct nvl_outcome *outcome);
/* Gives the container's own copies of nodes to its groups, as its /etc/group has them. `gid_of` tells the
 * number that a group of the container has for the caller (false: none); NULL where it has the same. */
typedef bool nvl_gid_of(const void *data, unsigned inside, unsigned *gid);
void nvl_inject_give(const struct nvl_injection *in, const struct nvl_root *rootfs, nvl_gid_of *gid_of,
                     const void *data);
void nvl_inject_close(struct nvl_injection *in);
/* Only its memory: the start hook ends after it, and that closes the descriptors, without a system call
 * each. */
void nvl_inject_free(struct nvl_injection *in);

/* Nodes, nvlxc's files, the driver and the view of /proc/driver/nvidia, put into the container. The second
 * time nothing is done. */
void nvl_inject_put(struct nvl_injection *in, const struct nvl_root *rootfs);
/* Then its linker's cache, where the host's paths are seen: ldconfig is run only where it does not give the
 * bundle's files yet. uid and gid: of the container's root, -1 where that is who calls. */
void nvl_inject_link(struct nvl_injection *in, const struct nvl_root *rootfs, uid_t uid, gid_t gid);
