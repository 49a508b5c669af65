/* The one table-driven option parser: --help, completions and the man page come from the same table. */
#pragma once

#include "base/error.h"
#include "base/text.h"

enum nvl_option_kind {
    NVL_OPTION_FLAG,   /* --dry-run: *(bool *)to = true */
    NVL_OPTION_STRING, /* --capabilities LIST: *(const char **)to, once */
    NVL_OPTION_LIST,   /* --gpu SEL, may be given again: struct nvl_strv */
};

struct nvl_option {
    const char *name;  /* "--dry-run" */
    char letter;       /* 'n' for -n, 0 for none */
    const char *value; /* "LIST", NULL for a flag */
    const char *help;
    enum nvl_option_kind kind;
    size_t offset; /* of the variable in the command's options struct */
};
#define NVL_OPTION_FIELD(type, field) offsetof(type, field)

/* Options stand before or after the arguments; "--opt VALUE" and "--opt=VALUE"; "--" ends them. An unknown one is an
 * error with exit status 2. `options` and `globals` end with a nameless entry. */
int nvl_options_parse(const struct nvl_option *globals, void *global_values, const struct nvl_option *options,
                      void *values, int argc, char **argv, struct nvl_strv *arguments, bool *help,
                      struct nvl_error *err);
