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

/* The headings of the list of commands. */
enum nvl_group {
    NVL_GROUP_DAILY,
    NVL_GROUP_SETUP,
    NVL_GROUP_WATCH,
    NVL_GROUP_PROGRAMS,
    NVL_GROUP_HIDDEN, /* for completions: not listed, never meant by a shortened word */
};

struct nvl_command {
    const char *name;      /* "attach", "driver" */
    const char *arguments; /* "CT", "list|sync|prune [VERSION]", "" */
    const char *summary;   /* one line for --help */
    enum nvl_group group;
    const char *details;                /* more text for `nvlxc COMMAND --help`; NULL for none */
    const struct nvl_example *examples; /* three to five; ends with a nameless entry */
    size_t min_arguments, max_arguments;
    /* What completes the arguments, in the form of an option's values: words where `arguments` has words
     * ("list|sync|prune"), else what the host has. */
    const char *argument_values;
    const struct nvl_option *options; /* ends with a nameless entry; NULL for none */
    size_t values_size;               /* of the struct that the options fill in; zeroed before parsing */
    /* Prints its own output. Returns the exit status (enum nvl_exit), or a negative errno with err set. The
     * command clears the lists in `values`. */
    int (*run)(struct nvl_context *ctx, const struct nvl_strv *arguments, void *values,
               struct nvl_error *err);
};
