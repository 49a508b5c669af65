/* nvlxc host setup, for the option table of cmd/host.c. */
#pragma once

#include "cli/command.h"

struct nvl_setup_options {
    bool drivers; /* of host without setup */
    bool dry_run, yes;
    const char *capabilities; /* NULL for the default: compute and utility */
    const char *run;          /* NVIDIA's installer, a file */
    const char *wait;         /* of host publish: seconds */
    const char *from;         /* "debian", "nvidia", "tesla-535" */
};

/* Returns the exit status, or a negative errno with err set. */
int nvl_host_setup(struct nvl_context *ctx, const struct nvl_setup_options *options, struct nvl_error *err);
