/* Changing a container that runs: what its start would inject now, without a restart. The work inside is
 * done by a child process with a time limit, which comes back with what it did. */
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
    struct nvl_outcome injected;  /* done is empty where all was there already */
    struct nvl_ejected ejected;   /* and what went */
    struct nvl_cleaned cleaned;   /* files: only of detach */
    struct nvl_programs programs; /* that have a device open which was ejected: they keep it */
};

/* Makes the host ready as pre-start does, injects what the config's grant names, ejects what it names no
 * longer, and tells the device filter. Where the container cannot be entered, an error; what is missing,
 * problems of the outcome. */
int nvl_live_attach(const struct nvl_root *root, const struct nvl_container *c,
                    const struct nvl_effective *effective, struct nvl_live_result *result,
                    struct nvl_error *err);
/* What attach would inject, as far as the host says. */
int nvl_live_attach_dry(const struct nvl_root *root, const struct nvl_grant *grant,
                        struct nvl_live_result *result, struct nvl_error *err);

/* Takes nodes, driver and view out of its mounts, nvlxc's files out of its root file system, and the nodes
 * from its device filter. only_look: says what it would take, and takes nothing. */
int nvl_live_detach(const struct nvl_root *root, const struct nvl_container *c,
                    const struct nvl_effective *effective, bool only_look, struct nvl_live_result *result,
                    struct nvl_error *err);

void nvl_live_result_clear(struct nvl_live_result *result);
