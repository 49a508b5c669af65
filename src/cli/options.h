/* The table-driven option parser: --help, completions and man pages come from the same table. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

enum nvl_option_kind {
    NVL_OPTION_FLAG,   /* --dry-run: bool = true */
    NVL_OPTION_STRING, /* --capabilities LIST: const char *, given once, points into argv */
    NVL_OPTION_LIST,   /* --gpu SEL, may be repeated: struct nvl_strv */
};

struct nvl_option {
    const char *name;  /* "--dry-run"; NULL ends a table */
    const char *value; /* "LIST", NULL for a flag */
    const char *help;
    enum nvl_option_kind kind;
    size_t offset;             /* of the variable in the struct of values: offsetof(struct …, field) */
    char letter;               /* 'h' for -h; 0 for none */
    const char *default_value; /* what holds without the option; NULL for none */
    /* What the value can be: lines "hook\tthe start hook binds them", and "@gpus" for what cmd/complete.c
     * looks up on the host. NULL: anything. If all of them are words, --help lists them. */
    const char *values;
    bool has_commas; /* several of them, with commas between */
};

/* One use of a command, for its --help and its man page. */
struct nvl_example {
    const char *command; /* the command line behind "nvlxc"; NULL ends a table */
    const char *what;
};

/* A table of options and the struct that it fills in. */
struct nvl_option_set {
    const struct nvl_option *options; /* NULL for none */
    void *values;
};

/* Sorts argv into options (of any of the sets) and arguments. Options stand before or after the arguments;
 * "--opt VALUE" and "--opt=VALUE"; a beginning that only one option has stands for it; "--" ends them; "-" is
 * an argument. Unknown options and missing or superfluous values are errors with exit status 2. */
int nvl_options_parse(const struct nvl_option_set *sets, size_t n_sets, int argc, char **argv,
                      struct nvl_strv *arguments, struct nvl_error *err);
/* Clears the lists that options filled in. */
void nvl_options_clear(const struct nvl_option_set *sets, size_t n_sets);
/* The option that a word of the command line ("--gpu", "--gpu=0", "--gp", "-h") names; NULL and a usage error
 * if it is none, or several. */
const struct nvl_option *nvl_option_find(const struct nvl_option_set *sets, size_t n_sets, const char *word,
                                         struct nvl_error *err);
/* What the option does, with its values and its default: "who adds device nodes: hook, dev or static
 * [default: hook]". The caller frees. */
char *nvl_option_text(const struct nvl_option *option);
/* The next of an option's values, which may be NULL: its word, and what it is ("" for none); both are the
 * caller's. Moves *values past it. False at the end. */
bool nvl_next_value(const char **values, char **word, char **what);
/* Appends the table to `out`, as --help shows it, in lines of at most `columns`. */
void nvl_options_help(const struct nvl_option *options, size_t columns, struct nvl_buf *out);
void nvl_examples_help(const struct nvl_example *examples, size_t columns, struct nvl_buf *out);
/* "nvlxc attach 101"; the caller frees. */
char *nvl_example_line(const struct nvl_example *example);
/* One row of such a table: a word, and what it is, wrapped, from the column `at` on. */
void nvl_help_row(const char *word, const char *text, size_t at, size_t columns, struct nvl_buf *out);
#define NVL_HELP_COLUMN 25 /* of options and commands */

/* Paragraphs of a command's text, wrapped anew. */
void nvl_help_details(const char *details, size_t columns, struct nvl_buf *out);
enum nvl_paragraph {
    NVL_PARAGRAPH_TEXT,
    NVL_PARAGRAPH_ITEMS,   /* "word  text", with blanks before the lines that go on */
    NVL_PARAGRAPH_LITERAL, /* begins with blanks: stays as it is */
};
enum nvl_paragraph nvl_paragraph_kind(const char *paragraph);
/* The next paragraph, the next item of one: copies, which are the caller's. False at the end. */
bool nvl_next_paragraph(const char **details, char **paragraph);
bool nvl_next_item(const char **paragraph, char **word, char **text);
