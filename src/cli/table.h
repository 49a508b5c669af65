/* Tables for people, by libsmartcols: columns as wide as they must be, the last one cut on a terminal. Where
 * the library is not installed, columns are parted by tabs. */
#pragma once

#include <stdio.h>

#include "base/error.h"

struct nvl_table;

/* `columns` ends with NULL. */
struct nvl_table *nvl_table_new(const char *const *columns);
/* One row, a string for each column; NULL prints "-". */
void nvl_table_row(struct nvl_table *table, const char *const *cells);
/* Once. */
void nvl_table_print(struct nvl_table *table, FILE *to);
void nvl_table_free(struct nvl_table *table);
