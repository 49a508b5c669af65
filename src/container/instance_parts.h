/* Makes a struct nvl_instance of a daemon's answer: which lines of an LXC config it makes of the instance's
 * keys and devices. Sources: internal/server/instance/drivers/driver_lxc.go and internal/server/device of Incus
 * 6.0, lxd/instance/drivers/driver_lxc.go of LXD 5.0; doc/reference/instance_options.md and devices_gpu.md. */
#pragma once

#include "container/daemon.h"
#include "container/instance.h"
#include "host/gpu.h"

/* What the answers about instances refer to: read when the first of them does. */
struct nvl_instance_context {
    const struct nvl_root *root;
    const struct nvl_daemon *daemon;
    json_t *profiles; /* by project */
    char *member;     /* this member of the cluster */
    struct nvl_gpus gpus;
    bool has_gpus;
};
void nvl_instance_context_clear(struct nvl_instance_context *context);

/* NULL if it is no container, or none that the daemon could have made. The caller frees. */
struct nvl_instance *nvl_instance_make(struct nvl_instance_context *context, const json_t *answer);
/* Finds out what raw.lxc its profiles give (profile_raw). `answer` is the one that it was made of. */
int nvl_instance_read_profile_raw(struct nvl_instance_context *context, const json_t *answer,
                                  struct nvl_instance *instance, struct nvl_error *err);
/* A word of a path of the API, with all but letters, digits and "-._" escaped; the caller frees. */
char *nvl_api_word(const char *text);
