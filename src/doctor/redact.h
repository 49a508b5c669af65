/* A text made fit to be shown to strangers: without names of hosts and users, addresses, serial numbers,
 * tokens, and with UUIDs cut short. */
#pragma once

#include "base/root.h"

struct nvl_mask {
    struct nvl_strv hosts, users; /* names that are replaced where they stand as words */
};

/* The names of this host, of the cluster's nodes, and of its people. */
void nvl_mask_read(const struct nvl_root *root, struct nvl_mask *mask);
void nvl_mask_clear(struct nvl_mask *mask);
/* The caller frees. */
char *nvl_mask_text(const struct nvl_mask *mask, const char *text);
