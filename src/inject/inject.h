/* Puts a grant's nodes and driver into a container. It first opens everything on the host as detached mounts,
 * while the host's paths are visible, then puts it into the root file system. The start hook does both in the
 * mount namespace of the container that starts; `attach --live` does the second in that of a running one. */
#pragma once

#include "base/root.h"
#include "grant/resolve.h"
#include "inject/linker.h"
#include "inject/outcome.h"
#include "inject/proc_view.h"

struct nvl_injection {
    const struct nvl_host *host;
    const struct nvl_grant *grant;
    struct nvl_outcome *outcome;
    bool binds_nodes;                    /* if not, others inject them */
    const struct nvl_strv *others_nodes; /* paths that others bring after this: left out; NULL for none */
    bool into_running;                   /* much is already there then, and not worth reporting */
    struct nvl_resolved resolved;
    struct nvl_injected_node {
        int fd;       /* a detached mount, or the reason why there is none */
        bool is_copy; /* the container's own copy (inject/node_copies.h) */
    } * nodes;        /* one for each of `resolved` */
    struct nvl_root bundle;
    const char *home; /* where it is put: inject/home.h */
    int bundle_mount; /* or the reason why there is none */
    char *cdi;        /* the specification for engines in the container; NULL for none */
    struct nvl_proc_view view;
    int view_error;
};

/* Opens on the host what the grant resolves to, for the container of that name. Names that match nothing
 * become problems of the outcome. host, grant and outcome are borrowed. */
void nvl_inject_open(struct nvl_injection *in, const char *container, const struct nvl_host *host,
                     const struct nvl_grant *grant, struct nvl_outcome *outcome);
/* Gives the container's own copies of nodes to its groups, according to its /etc/group. `gid_of` translates a
 * group number of the container for the caller (false: none); NULL if the numbers are the same. */
typedef bool nvl_gid_of(const void *data, unsigned inside, unsigned *gid);
void nvl_inject_give(const struct nvl_injection *in, const struct nvl_root *rootfs, nvl_gid_of *gid_of,
                     const void *data);
void nvl_inject_close(struct nvl_injection *in);
/* Frees only memory: the start hook ends afterwards, which closes the descriptors without a system call
 * each. */
void nvl_inject_free(struct nvl_injection *in);

/* Puts nodes, nvlxc's files, the driver and the view of /proc/driver/nvidia into the container. The second
 * time it changes nothing. */
void nvl_inject_put(struct nvl_injection *in, const struct nvl_root *rootfs);
/* Then updates the linker's cache, while the host's paths are visible: runs ldconfig only if the cache does
 * not give the bundle's files yet. Before it reads the cache, it confines the calling process to the root
 * file system, as the container's root (base/confine.h), where there is anything to read: of all descriptors,
 * the root file system's stays and `report` (may be -1). */
void nvl_inject_link(struct nvl_injection *in, const struct nvl_root *rootfs, const struct nvl_ids *as,
                     int report);
