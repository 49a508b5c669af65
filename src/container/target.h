/* The container that a command works on: found by its name, with its config. And how containers are told to
 * people. */
#pragma once

#include "container/commands.h"
#include "container/effective.h"

struct nvl_target {
    struct nvl_containers containers;
    struct nvl_container *container;
    char *name; /* unambiguous */
    struct nvl_config config;
    struct nvl_effective effective;
    struct nvl_error incomplete; /* where an include could not be read: which, and why; else code 0 */
};

/* Another node's CT is refused with the node's name: GPUs and locks are that node's own. */
int nvl_target_open(const struct nvl_root *root, const char *name, struct nvl_target *target,
                    struct nvl_error *err);
void nvl_target_close(struct nvl_target *target);

/* "Proxmox CT", "LXC", "LXC of alice"; the caller frees. */
char *nvl_container_kind_text(const struct nvl_container *c);
/* "pve", "lxc": for JSON. */
const char *nvl_container_kind_name(const struct nvl_container *c);
