/* Changes a running container: injects now what its next start would inject, without a restart. A child
 * process with a time limit does the work inside and reports what it did. */
#pragma once

#include "apply/clean.h"
#include "apply/eject.h"
#include "apply/open_files.h"
#include "inject/outcome.h"

struct nvl_container;
struct nvl_effective;
struct nvl_error;
struct nvl_grant;
struct nvl_root;

struct nvl_live_result {
    struct nvl_outcome injected;  /* done is empty if everything was already there */
    struct nvl_ejected ejected;   /* and what was removed */
    struct nvl_cleaned cleaned;   /* files: only for detach */
    struct nvl_programs programs; /* those that have an ejected device open: they keep it */
};

/* Prepares the host as pre-start does, injects what the config's grant names, ejects what it no longer names,
 * and updates the device filter. Fails if the container cannot be entered; anything missing becomes a problem
 * of the outcome. */
int nvl_live_attach(const struct nvl_root *root, const struct nvl_container *c,
                    const struct nvl_effective *effective, struct nvl_live_result *result,
                    struct nvl_error *err);
/* What attach would inject, as far as the host tells. */
int nvl_live_attach_dry(const struct nvl_root *root, const struct nvl_grant *grant,
                        struct nvl_live_result *result, struct nvl_error *err);

/* Removes nodes, driver and view from its mounts, nvlxc's files from its root file system, and the nodes from
 * its device filter. only_look: says what it would remove, and removes nothing. */
int nvl_live_detach(const struct nvl_root *root, const struct nvl_container *c,
                    const struct nvl_effective *effective, bool only_look, struct nvl_live_result *result,
                    struct nvl_error *err);

void nvl_live_result_clear(struct nvl_live_result *result);
