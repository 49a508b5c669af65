/* Tables for people, by libsmartcols: columns as wide as needed; on a terminal that is too narrow the widest
 * ones are wrapped behind blanks and commas. Words are never broken, and nothing is cut. If the library is
 * not installed, tabs separate the columns. */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "cli/print.h"

struct nvl_table;

/* `columns` ends with NULL. */
struct nvl_table *nvl_table_new(const char *const *columns);
/* One row, a string for each column; NULL prints "-". */
void nvl_table_row(struct nvl_table *table, const char *const *cells);
/* Gives a cell of the last row a style. */
void nvl_table_style(struct nvl_table *table, size_t column, enum nvl_style style);
/* Prints the table on standard output. Call it once. */
void nvl_table_print(struct nvl_table *table, FILE *to);
void nvl_table_free(struct nvl_table *table);
