/* The facts that checks judge, read once, before any check runs. All are read through the root handle, so
 * that tests can plant any fault in a fixture host. */
#pragma once

#include "base/root.h"
#include "bundle/list.h"
#include "container/container.h"
#include "container/device_rules.h"
#include "container/effective.h"
#include "container/grant_lines.h"
#include "container/idmap.h"
#include "driver/answers.h"
#include "driver/origin.h"
#include "grant/resolve.h"
#include "host/gpu_reason.h"
#include "host/host.h"
#include "host/modprobe.h"
#include "host/module.h"
#include "host/system.h"
#include "host/userspace.h"

struct nvl_cluster;
struct nvl_cluster_guests;
struct nvl_moves;

/* A container of this node that should have a GPU. */
struct nvl_gpu_user {
    char *name;             /* unambiguous */
    size_t index;           /* nvl_container_at */
    bool has_grant;         /* false: only lines by hand */
    bool is_exclusive;      /* the grant */
    unsigned capabilities;  /* of the grant */
    bool needs_nodes_first; /* it needs nodes before it starts: dev[n], mount entries of nodes, or a hook that
                               does not run as root */
    bool starts_at_boot;    /* onboot, lxc.start.auto */
};

/* A container of this node whose config mentions GPUs, even in a comment, or cannot be read. */
struct nvl_suspect {
    size_t index; /* nvl_container_at */
    bool is_user; /* it should have a GPU */
};

struct nvl_host_facts {
    const struct nvl_root *root;
    struct nvl_host host; /* NVL_GPUS_ALL */
    struct nvl_modules modules;
    struct nvl_userspace userspace; /* the installed files of the driver */
    struct nvl_bundles bundles;
    struct nvl_system system;
    struct nvl_support support;            /* empty if nvidia drives every GPU */
    struct nvl_installed_driver installed; /* NVL_FACTS_QUICK reads little of a loaded one */
    struct nvl_modprobe modprobe;
    struct nvl_vm_devices vms;
    struct nvl_gpu_surroundings
        surroundings;               /* what the states of GPUs are judged by; it points into these facts */
    struct nvl_gpu_reason *reasons; /* one for each GPU's state */
    char *user_of_silent;           /* a container that was started with a GPU whose UUID is still unknown */
    bool has_nvidia_modprobe;       /* the program that makes nodes */
    struct nvl_containers containers; /* of this node; none if its cluster file system is gone */
    bool is_cluster_gone;             /* then the containers are not known */
    struct nvl_node *nodes;           /* those that the host should have, each inspected */
    size_t n_nodes;
    struct nvl_gpu_user *users; /* of GPUs, among the containers */
    size_t n_users;
    struct nvl_suspect *suspects; /* including the users */
    size_t n_suspects;
    bool deep; /* checks may take seconds: they read all of the bundles. The caller sets it */
};

enum nvl_depth {
    NVL_DEPTH_CONFIG, /* what its config says: cheap enough for every container */
    NVL_DEPTH_ALL,    /* also its root file system and its processes */
};

struct nvl_container_facts {
    const struct nvl_host_facts *host;
    enum nvl_depth depth; /* CONFIG: is_running, init and rootfs are unknown */
    struct nvl_container *container;
    char *name; /* unambiguous */
    struct nvl_config config;
    struct nvl_effective effective; /* what the next start makes of it, with includes */
    struct nvl_error incomplete;    /* if an include could not be read: which, and why; else code 0 */
    bool has_grant;
    struct nvl_grant grant; /* valid if has_grant */
    struct nvl_resolved resolved;
    enum nvl_device_filter filter;
    struct nvl_idmap idmap;
    struct nvl_error idmap_error; /* why LXC will not take it; else code 0 */
    bool is_running;
    pid_t init;                  /* the host's pid of its init; 0 if it is not running or was not found */
    struct nvl_error init_error; /* why it was not found */
    struct nvl_root rootfs; /* /proc/INIT/root of a running one (which shows its mounts), else its directory;
                               fd -1 if inaccessible. It remembers trouble */
    int rootfs_code;        /* then -ETIMEDOUT if it does not answer, -EPERM if its user only claims it */
    char *rootfs_why;       /* why it is inaccessible */
};

/* What the checks of a cluster judge; borrowed. */
struct nvl_cluster_facts {
    const struct nvl_cluster *cluster;
    const struct nvl_cluster_guests *guests;
    const struct nvl_moves *moves;
};

/* QUICK, for `host`: leaves out what only matters for a driver that is not loaded, if one is. The checks find
 * the same. */
enum nvl_facts_how { NVL_FACTS_ANEW, NVL_FACTS_QUICK };
int nvl_host_facts_read(struct nvl_host_facts *facts, const struct nvl_root *root, enum nvl_facts_how how,
                        struct nvl_error *err);
/* The input for fix texts about the driver (driver/advice.h); borrowed. */
struct nvl_driver_need nvl_driver_need_of(const struct nvl_host_facts *facts);
void nvl_host_facts_clear(struct nvl_host_facts *facts);
/* An unreadable config is an error; everything else that cannot be read stays empty. The facts take the
 * container over in any case. */
int nvl_container_facts_read(struct nvl_container_facts *facts, const struct nvl_host_facts *host,
                             struct nvl_container *container, struct nvl_error *err);
/* The same to NVL_DEPTH_CONFIG. */
int nvl_container_facts_read_config(struct nvl_container_facts *facts, const struct nvl_host_facts *host,
                                    struct nvl_container *container, struct nvl_error *err);
struct nvl_target;
/* The facts of a config that is not written yet; takes the config over. Its lines have the numbers of the
 * file as it is. */
void nvl_container_facts_of(struct nvl_container_facts *facts, const struct nvl_host_facts *host,
                            const struct nvl_target *target, struct nvl_config *config);
void nvl_container_facts_clear(struct nvl_container_facts *facts);

/* Both the host's facts and those of the container with this name. */
int nvl_facts_read(const struct nvl_root *root, const char *name, struct nvl_host_facts *host,
                   struct nvl_container_facts *facts, struct nvl_error *err);
