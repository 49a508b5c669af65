/* Tables for people, by libsmartcols. */
#include "output/table.h"

#include <stdbool.h>
#include <libsmartcols.h>

struct nvl_table {
    struct libscols_table *scols;
    size_t n_columns;
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
    struct libscols_line *line = checked(scols_table_new_line(table->scols, NULL));

    for (size_t i = 0; i < table->n_columns; i++)
        if (scols_line_set_data(line, i, cells[i] != NULL ? cells[i] : "-") != 0)
            nvl_out_of_memory();
}

void nvl_table_print(struct nvl_table *table, FILE *to)
{
    scols_table_set_stream(table->scols, to);
    scols_print_table(table->scols);
}

void nvl_table_free(struct nvl_table *table)
{
    if (table == NULL)
        return;
    scols_unref_table(table->scols);
    free(table);
}
