/* Tables for people, by libsmartcols. Its lines take several times the memory of their text, so rows are kept
 * as text and become lines a few at a time. The library is loaded only when there is a table to print: most
 * runs print none. */
#include "cli/table.h"

#include <dlfcn.h>
#include <libsmartcols.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/text.h"

#define FUNCTIONS(DO)                                                                                        \
    DO(scols_column_get_width)                                                                               \
    DO(scols_line_set_data)                                                                                  \
    DO(scols_new_table)                                                                                      \
    DO(scols_print_table)                                                                                    \
    DO(scols_print_table_to_string)                                                                          \
    DO(scols_table_enable_noheadings)                                                                        \
    DO(scols_table_get_column)                                                                               \
    DO(scols_table_new_column)                                                                               \
    DO(scols_table_new_line)                                                                                 \
    DO(scols_table_print_range)                                                                              \
    DO(scols_table_remove_lines)                                                                             \
    DO(scols_table_set_stream)                                                                               \
    DO(scols_unref_table)
#define POINTER(name) __typeof__(name) *name;
static struct {
    FUNCTIONS(POINTER)
} lib;

struct nvl_table {
    struct nvl_strv columns;
    struct libscols_table *scols;
    size_t n_rows;
    struct nvl_buf cells; /* row after row, each cell with its NUL */
};

static bool load_smartcols(void)
{
    void *handle = dlopen("libsmartcols.so.1", RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL)
        return false;
#define RESOLVE(name)                                                                                        \
    lib.name = (__typeof__(lib.name))dlsym(handle, #name);                                                   \
    if (lib.name == NULL)                                                                                    \
        return false;
    FUNCTIONS(RESOLVE)
    return true;
}

static void *check_result(void *ptr)
{
    if (ptr == NULL)
        nvl_out_of_memory();
    return ptr;
}

struct nvl_table *nvl_table_new(const char *const *columns)
{
    struct nvl_table *table = nvl_xcalloc(1, sizeof *table);

    for (; *columns != NULL; columns++)
        nvl_strv_push(&table->columns, *columns);
    return table;
}

void nvl_table_row(struct nvl_table *table, const char *const *cells)
{
    for (size_t i = 0; i < table->columns.count; i++) {
        const char *cell = cells[i] != NULL ? cells[i] : "-";
        nvl_buf_add(&table->cells, cell, strlen(cell) + 1);
    }
    table->n_rows++;
}

static void make_columns(struct nvl_table *table)
{
    table->scols = check_result(lib.scols_new_table());
    for (size_t i = 0; i < table->columns.count; i++) {
        bool is_last = i + 1 == table->columns.count;
        check_result(lib.scols_table_new_column(table->scols, table->columns.items[i], 0,
                                                is_last ? SCOLS_FL_TRUNC : 0));
    }
}

/* Without the library a tab separates two columns. */
static void print_plain(const struct nvl_table *table, FILE *to)
{
    const char *cell = table->cells.data;

    for (size_t i = 0; i < table->columns.count; i++)
        fprintf(to, "%s%s", i > 0 ? "\t" : "", table->columns.items[i]);
    fputc('\n', to);
    for (size_t n = 0; n < table->n_rows; n++) {
        for (size_t i = 0; i < table->columns.count; i++, cell += strlen(cell) + 1)
            fprintf(to, "%s%s", i > 0 ? "\t" : "", cell);
        fputc('\n', to);
    }
}

/* Makes a line of the cells from `cell` on, and moves `cell` past them. */
static struct libscols_line *add_line(struct nvl_table *table, const char **cell)
{
    struct libscols_line *line = check_result(lib.scols_table_new_line(table->scols, NULL));

    for (size_t i = 0; i < table->columns.count; i++, *cell += strlen(*cell) + 1)
        if (lib.scols_line_set_data(line, i, *cell) != 0)
            nvl_out_of_memory();
    return line;
}

/* Replaces the lines by those of the next rows; returns the last line, NULL if no row is left. */
static struct libscols_line *next_lines(struct nvl_table *table, size_t most, const char **cell)
{
    struct libscols_line *last = NULL;

    lib.scols_table_remove_lines(table->scols);
    for (size_t n = 0; n < most && *cell < table->cells.data + table->cells.len; n++)
        last = add_line(table, cell);
    return last;
}

/* Makes a row of cells as wide as the columns must be, by letting libsmartcols print to nowhere. */
static void find_widest(struct nvl_table *table, size_t at_a_time, struct nvl_buf *widest)
{
    nvl_autofree size_t *widths = nvl_xcalloc(table->columns.count, sizeof *widths);
    const char *cell = table->cells.data;

    lib.scols_table_enable_noheadings(table->scols, true);
    while (next_lines(table, at_a_time, &cell) != NULL) {
        nvl_autofree char *text = NULL;
        if (lib.scols_print_table_to_string(table->scols, &text) != 0)
            nvl_out_of_memory();
        for (size_t i = 0; i < table->columns.count; i++) {
            size_t width = lib.scols_column_get_width(lib.scols_table_get_column(table->scols, i));
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    lib.scols_table_enable_noheadings(table->scols, false);
    for (size_t i = 0; i < table->columns.count; i++) {
        nvl_buf_addf(widest, "%0*d", (int)widths[i], 0);
        nvl_buf_add(widest, "", 1);
    }
}

void nvl_table_print(struct nvl_table *table, FILE *to)
{
    const size_t few = 64;
    const char *cell = table->cells.data;
    nvl_auto(nvl_buf_clear) struct nvl_buf widest = {0};
    struct libscols_line *last;

    if (!load_smartcols()) {
        print_plain(table, to);
        return;
    }
    make_columns(table);
    lib.scols_table_set_stream(table->scols, to);
    /* on a terminal libsmartcols looks at all cells to decide what to cut */
    if (table->n_rows <= few || isatty(fileno(to))) {
        next_lines(table, table->n_rows, &cell);
        lib.scols_print_table(table->scols);
        return;
    }
    find_widest(table, few, &widest);
    while ((last = next_lines(table, few, &cell)) != NULL) {
        const char *behind = widest.data; /* counts for the width and is not printed */
        add_line(table, &behind);
        lib.scols_table_print_range(table->scols, NULL, last);
    }
}

void nvl_table_free(struct nvl_table *table)
{
    if (table == NULL)
        return;
    if (table->scols != NULL)
        lib.scols_unref_table(table->scols);
    nvl_strv_clear(&table->columns);
    nvl_buf_clear(&table->cells);
    free(table);
}
