/* Tables for people, by libsmartcols: columns as wide as needed, the last one cut on a terminal. If the
 * library is not installed, tabs separate the columns. */
#pragma once

#include <stdio.h>

#include "base/error.h"

struct nvl_table;

/* `columns` ends with NULL. */
struct nvl_table *nvl_table_new(const char *const *columns);
/* One row, a string for each column; NULL prints "-". */
void nvl_table_row(struct nvl_table *table, const char *const *cells);
/* Prints the table. Call it once. */
void nvl_table_print(struct nvl_table *table, FILE *to);
void nvl_table_free(struct nvl_table *table);
