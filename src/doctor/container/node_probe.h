/* Opening a device node as a running container's root would: the real question about device filters and
 * modes, without running anything in the container. */
#pragma once

#include "doctor/facts.h"

enum nvl_probe {
    NVL_PROBE_UNKNOWN,  /* it could not be tried: not running, no cgroup v2, not root, no answer in time */
    NVL_PROBE_OPENS,    /* it opens, or the driver refuses it: filter and mode let it through */
    NVL_PROBE_ABSENT,   /* no such node in the container */
    NVL_PROBE_OTHER,    /* something else stands there, or another device */
    NVL_PROBE_FILTERED, /* EPERM: the device filter */
    NVL_PROBE_DENIED,   /* EACCES: mode and owner, or a mount with nodev */
};

struct nvl_probed {
    enum nvl_probe result;
    struct stat st; /* of what stands there; zero where nothing does */
};

/* A device has the same driver behind it everywhere, so what the driver says is the host's question.
 * `node` as it should be, looked for under its path in the container. Caps nodes are opened for
 * reading. */
struct nvl_probed nvl_probe_node(const struct nvl_container_facts *facts, const struct nvl_node *node);
