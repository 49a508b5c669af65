/* The container that a command works on: finds it by name and reads its config. Also the words for containers
 * in messages. */
#pragma once

#include "base/error.h"
#include "container/commands.h"
#include "container/effective.h"

struct nvl_target {
    struct nvl_containers containers;
    struct nvl_container *container;
    char *name; /* unambiguous */
    char *word; /* the same for a shell: in commands to paste, since a user may have chosen it */
    struct nvl_config config;
    struct nvl_effective effective;
    struct nvl_error incomplete; /* if an include could not be read: which, and why; else code 0 */
};

/* Refuses another node's CT, naming the node: GPUs and locks belong to that node. */
int nvl_target_open(const struct nvl_root *root, const char *name, struct nvl_target *target,
                    struct nvl_error *err);
void nvl_target_close(struct nvl_target *target);

/* "Proxmox CT", "LXC", "LXC of alice", "Incus"; the caller frees. */
char *nvl_container_kind_text(const struct nvl_container *c);
/* "pve", "lxc", "incus", "lxd": for JSON. */
const char *nvl_container_kind_name(const struct nvl_container *c);
