/* Publishes what this node has: writes its file (node_file.h) where something in it has changed. */
#pragma once

#include "cluster/node_file.h"

struct nvl_host;

enum nvl_publication {
    NVL_PUBLICATION_NONE, /* this host is in no cluster */
    NVL_PUBLICATION_SAME, /* the file says so already */
    NVL_PUBLICATION_NEW,
};

/* Waits up to `wait_s` seconds for the cluster's quorum, without which nobody can write (-EROFS). The file is
 * replaced as a whole, under a lock that other publishers on this node take. `dry_run`: says what would be.
 */
int nvl_publish(const struct nvl_root *root, unsigned wait_s, bool dry_run, enum nvl_publication *what,
                struct nvl_error *err);
/* What the node has to say now: `host` is this one's, to NVL_GPUS_ALL. The size of a GPU's memory is NVML's;
 * what `before` (may be NULL) says of a GPU is not asked again. The caller clears it. */
void nvl_node_file_now(const struct nvl_host *host, const char *node, const struct nvl_node_file *before,
                       struct nvl_node_file *file);
