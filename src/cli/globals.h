/* The options that every command has. */
#pragma once

#include "cli/options.h"

struct nvl_globals {
    const char *root, *color;
    bool json, quiet, help, version;
};

extern const struct nvl_option nvl_global_options[];

/* Values of options that several commands have (struct nvl_option). */
extern const char nvl_capability_values[], nvl_gpu_values[];
