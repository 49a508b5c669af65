/* Reads the instances of Incus and LXD. */
#pragma once

#include "container/daemon.h"
#include "container/instance.h"

struct nvl_containers;
struct nvl_error;
struct nvl_root;

/* Adds the containers of every daemon that is used; with `cluster` also those on its other members. One that
 * does not answer goes into `unread`. */
void nvl_instances_find(const struct nvl_root *root, bool cluster, struct nvl_containers *all);
/* Asks for it again: *now is the caller's, and `etag` its version. */
int nvl_instance_read(const struct nvl_root *root, const struct nvl_instance *instance,
                      struct nvl_instance **now, char **etag, struct nvl_error *err);
/* Replaces its raw.lxc by `text` if its version is still `etag`: else -EAGAIN. A text that a profile gives
 * anyway, and an empty one, removes the instance's own value. */
int nvl_instance_write(const struct nvl_root *root, const struct nvl_instance *instance, const char *etag,
                       const char *text, struct nvl_error *err);
/* The host's pid of its init; -ESRCH if it does not run. */
int nvl_instance_init(const struct nvl_root *root, const struct nvl_instance *instance,
                      struct nvl_error *err);
