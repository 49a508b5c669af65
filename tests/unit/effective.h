/* The effective config of a text by itself, for tests: what it includes is not there. */
#pragma once

#include "container/container.h"
#include "base/root.h"
#include "container/effective.h"

static inline struct nvl_effective effective_of(const struct nvl_config *config)
{
    const struct nvl_container container = {
        .kind = NVL_CONTAINER_LXC, .name = "test", .config_path = "/config"};
    const struct nvl_root none = NVL_ROOT_NONE;
    struct nvl_effective effective;

    nvl_effective_read(&none, &container, config, &effective, NULL);
    return effective;
}

static inline int grant_of(const struct nvl_config *config, struct nvl_grant *grant, struct nvl_error *err)
{
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = effective_of(config);

    return nvl_effective_grant(&effective, grant, err);
}
