/* The ways in which `attach` can deliver a grant: whether this host and this container allow them, and which
 * places of the host their lines name. */
#pragma once

#include "container/grant_lines.h"
#include "container/target.h"
#include "grant/resolve.h"

/* Parses the options' words; NULL, or an empty list, is the default. Errors are usage errors. */
int nvl_delivery_parse(const char *nodes, const char *libraries, const struct nvl_strv *with,
                       struct nvl_delivery *delivery, struct nvl_error *err);

/* Refuses, with the reason: dev[n] entries on plain LXC (a usage error) or with a pve-container that does not
 * know them; the host's library folders in a container of another release (with `force` a warning), or if
 * they contain no driver. Fills in the nodes and libraries of `places`; nvl_places_complete does the rest.
 * Adds to `warnings` what the user should know of the way. */
int nvl_delivery_check(const struct nvl_root *root, const struct nvl_target *target,
                       const struct nvl_host *host, const struct nvl_grant *grant,
                       const struct nvl_resolved *resolved, bool force, struct nvl_grant_places *places,
                       struct nvl_strv *warnings, struct nvl_error *err);

/* Fills in the rest of `places`: rules, which only an allow-list needs, and the container's groups for
 * /dev/dri. With `replace` the filter is that of the lines which stay. Warns about a privileged container
 * without a filter. */
int nvl_places_complete(const struct nvl_host *host, const struct nvl_target *target,
                        const struct nvl_grant *grant, const struct nvl_resolved *resolved, bool replace,
                        struct nvl_grant_places *places, struct nvl_strv *warnings, struct nvl_error *err);

/* The lines that `attach --replace` takes, as "line 7: lxc.cgroup2.devices.allow: c 195:* rwm", and what
 * takes the place of each: "the start hook binds the node". */
void nvl_replaced_list(const struct nvl_root *root, const struct nvl_effective *effective,
                       const struct nvl_grant *grant, const struct nvl_resolved *resolved, bool has_rules,
                       struct nvl_strv *lines, struct nvl_strv *instead);

/* Whether both releases are known and equal: "Debian 12" and "Debian 12". The caller frees the texts. */
bool nvl_is_same_release(const struct nvl_root *root, const struct nvl_target *target, char **host,
                         char **container);

/* Refuses, naming the line: an include that cannot be read, NVIDIA lines in a file that the config includes
 * (nvlxc never edits such a file), and an environment that would run code of the container on the host once
 * the container has a hook. */
int nvl_config_check(const struct nvl_root *root, const struct nvl_target *target, struct nvl_error *err);

/* Refuses an exclusive grant (-EBUSY) if another container of this node has one of its GPUs, by a grant or by
 * hand. Warns if another container has an exclusive grant of one of them. */
int nvl_sharing_check(const struct nvl_target *target, const struct nvl_host *host,
                      const struct nvl_grant *grant, const struct nvl_resolved *resolved,
                      struct nvl_strv *warnings, struct nvl_error *err);
