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
 * nothing (lists what there is), and if several GPUs leave the choice open (exit status 2). `host` is read
 * with NVL_GPUS_ALL. */
int nvl_request_resolve(const struct nvl_host *host, struct nvl_grant *grant, struct nvl_error *err);

/* Warns about the granted GPUs: one that does not work, a VM that takes it away, MIG. */
void nvl_request_warn(const struct nvl_host *host, const struct nvl_resolved *resolved,
                      struct nvl_strv *warnings);
