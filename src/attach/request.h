/* What `attach` is asked for, as a grant that stays true: --gpu takes indexes, PCI addresses, UUIDs and MIG
 * forms as they are on this host today; what is written survives reboots and cards that change places. */
#pragma once

#include "grant/grant.h"
#include "grant/resolve.h"

/* The options' values as a grant, not resolved yet: `all`, `none`, or selectors, several in one value with
 * commas. Without --gpu it is a LIST of no selectors: the host's only GPU. Errors are usage errors. */
int nvl_request_parse(const struct nvl_strv *gpus, const char *capabilities, bool required,
                      struct nvl_grant *grant, struct nvl_error *err);

/* Turns the selectors into UUIDs (a PCI address where the driver says no UUID) and MIG-GPU-UUID/GI/CI, each
 * once. An error where the host has no driver or no GPU (exit status 3, with what is in the way), where a
 * selector names nothing (it lists what there is), and where several GPUs leave open which is meant (exit
 * status 2). `host` is read with NVL_GPUS_ALL. */
int nvl_request_resolve(const struct nvl_host *host, struct nvl_grant *grant, struct nvl_error *err);

/* What should be known of the GPUs that are given: one that does not work, a VM that takes it away, MIG. */
void nvl_request_warn(const struct nvl_host *host, const struct nvl_resolved *resolved,
                      struct nvl_strv *warnings);
