/* The facts that checks judge: read once, before any check runs. All through the root handle, so that a
 * fixture host can have any fault planted. */
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

/* A container of this node that is to have a GPU. */
struct nvl_gpu_user {
    char *name;             /* unambiguous */
    bool has_grant;         /* else only lines by hand */
    unsigned capabilities;  /* of the grant */
    bool needs_nodes_first; /* before it starts: dev[n], mount entries of nodes, or a hook that is not root's
                             */
    bool starts_at_boot;    /* onboot, lxc.start.auto */
};

/* A container of this node whose config says something of GPUs, be it in a comment, or cannot be read. */
struct nvl_suspect {
    size_t index; /* nvl_container_at */
    bool is_user; /* is to have a GPU */
};

struct nvl_host_facts {
    const struct nvl_root *root;
    struct nvl_host host; /* NVL_GPUS_ALL */
    struct nvl_modules modules;
    struct nvl_userspace userspace; /* the driver's files that are installed */
    struct nvl_bundles bundles;
    struct nvl_system system;
    struct nvl_support support;            /* empty where nvidia drives every GPU */
    struct nvl_installed_driver installed; /* quick: a glance at a loaded one */
    struct nvl_modprobe modprobe;
    struct nvl_vm_devices vms;
    struct nvl_gpu_surroundings surroundings; /* of the facts here: what GPUs are judged by */
    struct nvl_gpu_reason *reasons;           /* of each GPU's state */
    char *user_of_silent;     /* a container that was started with a GPU whose UUID is still unknown */
    bool has_nvidia_modprobe; /* the program that makes nodes */
    struct nvl_containers containers; /* of this node */
    struct nvl_node *nodes;           /* those that the host should have, each looked at */
    size_t n_nodes;
    struct nvl_gpu_user *users; /* of GPUs, among the containers */
    size_t n_users;
    struct nvl_suspect *suspects; /* the users among them */
    size_t n_suspects;
    bool deep; /* checks may take seconds: read all of the bundles. The caller's wish */
};

enum nvl_depth {
    NVL_DEPTH_CONFIG, /* what its config says: cheap enough for every container */
    NVL_DEPTH_ALL,    /* its root file system and its processes, too */
};

struct nvl_container_facts {
    const struct nvl_host_facts *host;
    enum nvl_depth depth; /* CONFIG: is_running, init and rootfs are not known */
    struct nvl_container *container;
    char *name; /* unambiguous */
    struct nvl_config config;
    struct nvl_effective effective; /* what the next start makes of it, includes and all */
    struct nvl_error incomplete;    /* where an include could not be read: which, and why; else code 0 */
    bool has_grant;
    struct nvl_grant grant; /* where has_grant */
    struct nvl_resolved resolved;
    enum nvl_device_filter filter;
    struct nvl_idmap idmap;
    bool is_running;
    pid_t init; /* its init, as the host's /proc knows it; 0 where not running or not found */
    struct nvl_error init_error; /* why it was not found */
    struct nvl_root rootfs; /* /proc/INIT/root of a running one (its mounts are seen), else its directory; fd
                             * -1 where out of reach */
    char *rootfs_why;       /* why it is out of reach */
};

/* quick, for `host`: what only a driver that is not loaded is asked for is read only of such a one. The same
 * checks find the same. */
enum nvl_facts_how { NVL_FACTS_ANEW, NVL_FACTS_QUICK };
int nvl_host_facts_read(struct nvl_host_facts *facts, const struct nvl_root *root, enum nvl_facts_how how,
                        struct nvl_error *err);
/* What fix texts about the driver (driver/advice.h) are made from; borrowed. */
struct nvl_driver_need nvl_driver_need_of(const struct nvl_host_facts *facts);
void nvl_host_facts_clear(struct nvl_host_facts *facts);
/* An unreadable config is an error; all else that cannot be read is left empty. The container is taken over,
 * in any case. */
int nvl_container_facts_read(struct nvl_container_facts *facts, const struct nvl_host_facts *host,
                             struct nvl_container *container, struct nvl_error *err);
/* The same to NVL_DEPTH_CONFIG. */
int nvl_container_facts_read_config(struct nvl_container_facts *facts, const struct nvl_host_facts *host,
                                    struct nvl_container *container, struct nvl_error *err);
void nvl_container_facts_clear(struct nvl_container_facts *facts);

/* Both, of the container that has this name. */
int nvl_facts_read(const struct nvl_root *root, const char *name, struct nvl_host_facts *host,
                   struct nvl_container_facts *facts, struct nvl_error *err);
