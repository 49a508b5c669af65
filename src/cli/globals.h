/* The options that every command has. */
#pragma once

#include "cli/options.h"

struct nvl_globals {
    const char *root;
    bool json, quiet, help, version;
};

extern const struct nvl_option nvl_global_options[];
