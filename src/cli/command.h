/* A command of the command line, and what all of them share. One cmd_VERB.c defines each; commands.c lists
 * them. */
#pragma once

#include <jansson.h>

#include "base/root.h"
#include "cli/options.h"

struct nvl_context {
    struct nvl_root root; /* "/" or --root DIR */
    bool json, quiet;
};

struct nvl_command {
    const char *name;      /* "attach", "driver" */
    const char *arguments; /* "CT", "list|sync|prune [VERSION]", "" */
    const char *summary;   /* one line for --help */
    const char *details;   /* more for `nvlxc COMMAND --help`; NULL for none */
    size_t min_arguments, max_arguments;
    const struct nvl_option *options; /* ends with a nameless entry; NULL for none */
    size_t values_size;               /* of the struct that the options fill in; it is zeroed before */
    /* Prints its own output. Returns the exit status (enum nvl_exit), or a negative errno with err set. Lists
     * in `values` are the command's to clear. */
    int (*run)(struct nvl_context *ctx, const struct nvl_strv *arguments, void *values,
               struct nvl_error *err);
};

extern const struct nvl_command *const nvl_commands[]; /* ends with NULL */

/* Prints JSON on stdout (takes the reference over), two-space indentation, keys in the order given. Returns
 * NVL_EXIT_OK. */
int nvl_print_json(json_t *value);
/* Ends the program with an error where `value`, out of json_pack, is NULL: rather than half an answer. Gives
 * it back. */
json_t *nvl_json_made(json_t *value);
/* A string, in which what is not UTF-8 is '?': for all that is not the program's own. */
json_t *nvl_json_text(const char *s);
/* The same, or null for NULL and "". */
json_t *nvl_json_string(const char *s);
/* An integer, or null where it is negative. */
json_t *nvl_json_unsigned(long long n);

/* Lines for people, on stdout, made printable; nothing with --quiet or --json. The last newline is added. */
void nvl_say(const struct nvl_context *ctx, const char *fmt, ...) NVL_PRINTF(2, 3);
/* "nvlxc: warning: …" on stderr, made printable, also with --quiet. The newline is added. */
void nvl_warn(const char *fmt, ...) NVL_PRINTF(1, 2);
