/* The table-driven option parser: --help, completions and man pages come from the same table. */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

enum nvl_option_kind {
    NVL_OPTION_FLAG,   /* --dry-run: bool = true */
    NVL_OPTION_STRING, /* --capabilities LIST: const char *, given once, points into argv */
    NVL_OPTION_LIST,   /* --gpu SEL, may be repeated: struct nvl_strv; the command clears it */
};

struct nvl_option {
    const char *name;  /* "--dry-run"; NULL ends a table */
    const char *value; /* "LIST", NULL for a flag */
    const char *help;
    enum nvl_option_kind kind;
    size_t offset; /* of the variable in the struct of values: offsetof(struct …, field) */
};

/* A table of options and the struct that it fills in. */
struct nvl_option_set {
    const struct nvl_option *options; /* NULL for none */
    void *values;
};

/* Sorts argv into options (of any of the sets) and arguments. Options stand before or after the arguments;
 * "--opt VALUE" and "--opt=VALUE"; "--" ends them; "-" is an argument. Unknown options and missing or
 * superfluous values are errors with exit status 2. */
int nvl_options_parse(const struct nvl_option_set *sets, size_t n_sets, int argc, char **argv,
                      struct nvl_strv *arguments, struct nvl_error *err);
/* Appends the table to `out`, as --help shows it. */
void nvl_options_help(const struct nvl_option *options, struct nvl_buf *out);
