/* A command of the command line, and what all commands share. Each cmd/VERB.c defines one; commands.c lists
 * them. */
#pragma once

#include "base/root.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/print.h"

struct nvl_context {
    struct nvl_root root; /* "/" or --root DIR */
    bool json, quiet;
};

struct nvl_command {
    const char *name;      /* "attach", "driver" */
    const char *arguments; /* "CT", "list|sync|prune [VERSION]", "" */
    const char *summary;   /* one line for --help */
    const char *details;   /* more text for `nvlxc COMMAND --help`; NULL for none */
    size_t min_arguments, max_arguments;
    const struct nvl_option *options; /* ends with a nameless entry; NULL for none */
    size_t values_size;               /* of the struct that the options fill in; zeroed before parsing */
    /* Prints its own output. Returns the exit status (enum nvl_exit), or a negative errno with err set. The
     * command clears the lists in `values`. */
    int (*run)(struct nvl_context *ctx, const struct nvl_strv *arguments, void *values,
               struct nvl_error *err);
};

extern const struct nvl_command *const nvl_commands[]; /* ends with NULL */
