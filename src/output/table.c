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

/* The lines of the next rows, instead of those before; the text of the rows behind them. */
static const char *take_rows(struct nvl_table *table, const char *cell, size_t n_rows)
{
    scols_table_remove_lines(table->scols);
    for (size_t row = 0; row < n_rows; row++) {
        struct libscols_line *line = checked(scols_table_new_line(table->scols, NULL));
        for (size_t i = 0; i < table->n_columns; i++, cell += strlen(cell) + 1)
            if (scols_line_set_data(line, i, cell) != 0)
                nvl_out_of_memory();
    }
    return cell;
}

/* The lines go to `to`, or nowhere (NULL): then the columns become as wide as these lines need. */
static void print_lines(struct nvl_table *table, FILE *to)
{
    char *text = NULL;

    if (to != NULL) {
        scols_table_set_stream(table->scols, to);
        scols_print_table(table->scols);
        return;
    }
    if (scols_print_table_to_string(table->scols, &text) != 0)
        nvl_out_of_memory();
    free(text);
    for (size_t i = 0; i < table->n_columns; i++) {
        struct libscols_column *column = scols_table_get_column(table->scols, i);
        double width = (double)scols_column_get_width(column);
        if (width > scols_column_get_whint(column))
            scols_column_set_whint(column, width);
    }
}

static void print_rows(struct nvl_table *table, size_t at_a_time, FILE *to)
{
    const char *cell = table->cells.data;

    for (size_t row = 0; row < table->n_rows; row += at_a_time) {
        size_t left = table->n_rows - row;
        cell = take_rows(table, cell, left < at_a_time ? left : at_a_time);
        scols_table_enable_noheadings(table->scols, row > 0);
        print_lines(table, to);
    }
}

void nvl_table_print(struct nvl_table *table, FILE *to)
{
    const size_t few = 64;

    /* on a terminal libsmartcols looks at all cells to choose what to cut */
    if (table->n_rows <= few || isatty(fileno(to))) {
        print_rows(table, table->n_rows, to);
        return;
    }
    print_rows(table, few, NULL);
    print_rows(table, few, to);
}

void nvl_table_free(struct nvl_table *table)
{
    if (table == NULL)
        return;
    scols_unref_table(table->scols);
    nvl_buf_clear(&table->cells);
    free(table);
}
