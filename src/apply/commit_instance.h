/* Writes a plan for a container of Incus or LXD: the daemon replaces raw.lxc if the instance is still the one
 * that the plan was made from. */
#pragma once

struct nvl_config;
struct nvl_container;
struct nvl_error;
struct nvl_plan;
struct nvl_root;

/* As nvl_commit: -EAGAIN if what the daemon makes the config of is no longer what `base` was read from. Other
 * keys of the instance may change meanwhile: then it asks again. */
int nvl_commit_instance(const struct nvl_root *root, const struct nvl_container *c,
                        const struct nvl_config *base, const struct nvl_plan *plan, struct nvl_error *err);
