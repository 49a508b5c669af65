/* Tables for people, by libsmartcols. Its lines take several times what their text takes, so rows are kept as
 * text, and made into lines a few at a time. */
#include "output/table.h"

#include <libsmartcols.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/text.h"

struct nvl_table {
    struct libscols_table *scols;
    size_t n_columns, n_rows;
    struct nvl_buf cells; /* of one row after the other, each with its NUL */
};

static void *checked(void *ptr)
{
    if (ptr == NULL)
        nvl_out_of_memory();
    return ptr;
}

struct nvl_table *nvl_table_new(const char *const *columns)
{
    struct nvl_table *table = nvl_xcalloc(1, sizeof *table);

    table->scols = checked(scols_new_table());
    for (; columns[table->n_columns] != NULL; table->n_columns++) {
        bool last = columns[table->n_columns + 1] == NULL;
        checked(
            scols_table_new_column(table->scols, columns[table->n_columns], 0, last ? SCOLS_FL_TRUNC : 0));
    }
    return table;
}

void nvl_table_row(struct nvl_table *table, const char *const *cells)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        const char *cell = cells[i] != NULL ? cells[i] : "-";
        nvl_buf_add(&table->cells, cell, strlen(cell) + 1);
    }
    table->n_rows++;
}

/* A line of the cells from `cell` on, which is moved behind them. */
static struct libscols_line *add_line(struct nvl_table *table, const char **cell)
{
    struct libscols_line *line = checked(scols_table_new_line(table->scols, NULL));

    for (size_t i = 0; i < table->n_columns; i++, *cell += strlen(*cell) + 1)
        if (scols_line_set_data(line, i, *cell) != 0)
            nvl_out_of_memory();
    return line;
}

/* The next rows' lines, instead of those before; gives the last, NULL where there are no more. */
static struct libscols_line *next_lines(struct nvl_table *table, size_t most, const char **cell)
{
    struct libscols_line *last = NULL;

    scols_table_remove_lines(table->scols);
    for (size_t n = 0; n < most && *cell < table->cells.data + table->cells.len; n++)
        last = add_line(table, cell);
    return last;
}

/* A row of cells that are as wide as the columns must be: what libsmartcols finds, printing to nowhere. */
static void find_widest(struct nvl_table *table, size_t at_a_time, struct nvl_buf *widest)
{
    nvl_autofree size_t *widths = nvl_xcalloc(table->n_columns, sizeof *widths);
    const char *cell = table->cells.data;

    scols_table_enable_noheadings(table->scols, true);
    while (next_lines(table, at_a_time, &cell) != NULL) {
        nvl_autofree char *text = NULL;
        if (scols_print_table_to_string(table->scols, &text) != 0)
            nvl_out_of_memory();
        for (size_t i = 0; i < table->n_columns; i++) {
            size_t width = scols_column_get_width(scols_table_get_column(table->scols, i));
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    scols_table_enable_noheadings(table->scols, false);
    for (size_t i = 0; i < table->n_columns; i++) {
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

    scols_table_set_stream(table->scols, to);
    /* on a terminal libsmartcols looks at all cells to choose what to cut */
    if (table->n_rows <= few || isatty(fileno(to))) {
        next_lines(table, table->n_rows, &cell);
        scols_print_table(table->scols);
        return;
    }
    find_widest(table, few, &widest);
    while ((last = next_lines(table, few, &cell)) != NULL) {
        const char *behind = widest.data; /* it counts, and is not printed */
        add_line(table, &behind);
        scols_table_print_range(table->scols, NULL, last);
    }
}

void nvl_table_free(struct nvl_table *table)
{
    if (table == NULL)
        return;
    scols_unref_table(table->scols);
    nvl_buf_clear(&table->cells);
    free(table);
}
