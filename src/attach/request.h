/* Turns the request of `attach` into a grant that stays valid: --gpu takes indexes, PCI addresses, UUIDs and
 * MIG forms as they are on this host today; the grant survives reboots and cards that change places. */
#pragma once

#include "grant/grant.h"
#include "grant/resolve.h"

/* The options' values as a grant, not resolved yet: `all`, `none`, or selectors, of which one value may hold
 * several, separated by commas. Without --gpu a LIST of no selectors: the host's only GPU. Errors are usage
 * errors. */
int nvl_request_parse(const struct nvl_strv *gpus, const char *capabilities, bool required,
                      struct nvl_grant *grant, struct nvl_error *err);

/* Turns the selectors into UUIDs (a PCI address if the driver gives no UUID) and MIG-GPU-UUID/GI/CI, each
 * once. Fails if the host has no driver or no GPU (exit status 3, with the reason), if a selector matches
 * nothing (lists what there is), and if several GPUs leave the choice open (exit status 2). Open selectors
 * stay as they are; with `force` they need not find a GPU on this host. `host` is read with NVL_GPUS_ALL. */
int nvl_request_resolve(const struct nvl_host *host, struct nvl_grant *grant, bool force,
                        struct nvl_error *err);

/* Refuses what a container cannot have of open selectors: nodes that are named in the config, and a mapping
 * in a user's container. Usage errors. */
struct nvl_container;
int nvl_open_check(const struct nvl_container *c, const struct nvl_grant *grant, struct nvl_error *err);
/* Resolves an open grant to all GPUs that a start on this host may choose. */
void nvl_open_resolve_wide(const struct nvl_grant *grant, const struct nvl_host *host,
                           struct nvl_resolved *resolved);

/* Warns about the granted GPUs: one that does not work, a VM that takes it away, MIG; and about an open
 * selector that finds none. */
void nvl_request_warn(const struct nvl_host *host, const struct nvl_resolved *resolved,
                      struct nvl_strv *warnings);
