/* Tables for people, by libsmartcols. Its lines take several times the memory of their text, so rows are kept
 * as text and become lines a few at a time. The library is loaded only when there is a table to print: most
 * runs print none. Which columns of a table that is too wide give way is decided here: the library breaks
 * words. */
#include "cli/table.h"

#include <dlfcn.h>
#include <libsmartcols.h>
#include <locale.h>
#include <stdbool.h>

#include "base/text.h"

#define FLOOR 12 /* columns that a text keeps, if it can */

#define FUNCTIONS(DO)                                                                                        \
    DO(scols_cell_set_color)                                                                                 \
    DO(scols_column_get_header)                                                                              \
    DO(scols_column_get_width)                                                                               \
    DO(scols_column_set_safechars)                                                                           \
    DO(scols_column_set_wrapfunc)                                                                            \
    DO(scols_line_get_cell)                                                                                  \
    DO(scols_line_set_data)                                                                                  \
    DO(scols_new_table)                                                                                      \
    DO(scols_print_table)                                                                                    \
    DO(scols_print_table_to_string)                                                                          \
    DO(scols_table_enable_colors)                                                                            \
    DO(scols_table_enable_noheadings)                                                                        \
    DO(scols_table_get_column)                                                                               \
    DO(scols_table_new_column)                                                                               \
    DO(scols_table_new_line)                                                                                 \
    DO(scols_table_print_range)                                                                              \
    DO(scols_table_remove_lines)                                                                             \
    DO(scols_table_set_stream)                                                                               \
    DO(scols_table_set_termforce)                                                                            \
    DO(scols_unref_table)                                                                                    \
    DO(scols_wrapnl_chunksize)                                                                               \
    DO(scols_wrapnl_nextchunk)
#define POINTER(name) __typeof__(name) *name;
static struct {
    FUNCTIONS(POINTER)
} lib;

struct cell_style {
    size_t row, column;
    enum nvl_style style;
};

struct nvl_table {
    struct nvl_strv columns;
    struct libscols_table *scols;
    size_t n_rows;
    struct nvl_buf cells;      /* row after row, each cell with its NUL */
    struct cell_style *styles; /* by row */
    size_t n_styles;
    /* while it is printed: */
    size_t *widths; /* of columns whose cells are wrapped; NULL: of none */
    size_t next_row, next_style;
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

void nvl_table_style(struct nvl_table *table, size_t column, enum nvl_style style)
{
    if (style != NVL_PLAIN)
        *NVL_APPEND(table->styles, table->n_styles) = (struct cell_style){table->n_rows - 1, column, style};
}

/* ---- the width of a terminal ---- */

/* A cell is broken behind blanks and commas. */
static size_t piece_length(const char *text)
{
    size_t len = strcspn(text, " ,");

    return len + strspn(text + len, " ,");
}

/* Without the blanks at its end; bytes that continue a UTF-8 sequence take no column. */
static size_t shown_width(const char *text, size_t len)
{
    size_t width = 0;

    while (len > 0 && text[len - 1] == ' ')
        len--;
    for (size_t i = 0; i < len; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width;
}

static void widen(size_t *width, size_t to)
{
    *width = *width > to ? *width : to;
}

/* What each column takes, and what it takes at least. */
static void measure_columns(const struct nvl_table *table, size_t *widths, size_t *least)
{
    const char *cell = table->cells.data;
    size_t n = table->columns.count;

    for (size_t i = 0; i < n; i++)
        widths[i] = least[i] = strlen(table->columns.items[i]);
    for (size_t i = 0; i < table->n_rows * n; i++, cell += strlen(cell) + 1) {
        widen(&widths[i % n], shown_width(cell, strlen(cell)));
        for (const char *at = cell; *at != '\0'; at += piece_length(at))
            widen(&least[i % n], shown_width(at, piece_length(at)));
    }
}

static size_t sum_of(const size_t *widths, size_t n)
{
    size_t sum = n - 1; /* blanks between them */

    for (size_t i = 0; i < n; i++)
        sum += widths[i];
    return sum;
}

/* Takes what is too much from the widest columns, but leaves each its longest word and `floor`. False if that
 * is too wide. */
static bool shrink(size_t n, size_t *widths, const size_t *least, size_t floor, size_t room)
{
    for (size_t sum = sum_of(widths, n); sum > room; sum--) {
        size_t widest = n;
        for (size_t i = 0; i < n; i++)
            if (widths[i] > least[i] && widths[i] > floor && (widest == n || widths[i] > widths[widest]))
                widest = i;
        if (widest == n)
            return false;
        widths[widest]--;
    }
    return true;
}

/* The cell with newlines where its lines end. */
static char *wrap_cell(const char *cell, size_t width)
{
    struct nvl_buf b = {0};
    size_t used = 0, n;

    for (; *cell != '\0'; cell += n) {
        n = piece_length(cell);
        if (used > 0 && used + shown_width(cell, n) > width) {
            while (b.len > 0 && b.data[b.len - 1] == ' ')
                b.len--;
            if (b.len > 0)
                nvl_buf_add(&b, "\n", 1);
            used = 0;
        }
        nvl_buf_add(&b, cell, n);
        used += shown_width(cell, n);
        for (size_t i = n; i > 0 && cell[i - 1] == ' '; i--)
            used++;
    }
    return nvl_buf_take(&b);
}

/* Where a column's lines end early, it needs less than it was left: the one that lacks most gets it. */
static void tighten(const struct nvl_table *table, size_t *widths, const size_t *natural, size_t room)
{
    size_t n = table->columns.count, most = 0, column = 0;
    nvl_autofree size_t *used = nvl_xcalloc(n, sizeof *used);
    const char *cell = table->cells.data;

    for (size_t i = 0; i < n; i++)
        used[i] = strlen(table->columns.items[i]);
    for (size_t i = 0; i < table->n_rows * n; i++, cell += strlen(cell) + 1) {
        nvl_autofree char *wrapped = wrap_cell(cell, widths[i % n]);
        for (const char *at = wrapped; *at != '\0'; at += *at == '\n') {
            widen(&used[i % n], shown_width(at, strcspn(at, "\n")));
            at += strcspn(at, "\n");
        }
    }
    memcpy(widths, used, n * sizeof *widths);
    for (size_t i = 0; i < n; i++)
        if (natural[i] - widths[i] > most) {
            most = natural[i] - widths[i];
            column = i;
        }
    widths[column] += room - sum_of(widths, n);
}

/* A column of single words is hard to read, so it is the second choice, and none where it would not do. */
static void fit(struct nvl_table *table)
{
    size_t n = table->columns.count, columns = nvl_columns();
    nvl_autofree size_t *natural = nvl_xcalloc(n, sizeof *natural), *least = nvl_xcalloc(n, sizeof *least),
                        *widths = nvl_xcalloc(n, sizeof *widths);

    measure_columns(table, natural, least);
    if (sum_of(natural, n) <= columns || sum_of(least, n) > columns)
        return;
    memcpy(widths, natural, n * sizeof *widths);
    if (!shrink(n, widths, least, FLOOR, columns))
        shrink(n, widths, least, 0, columns);
    tighten(table, widths, natural, columns);
    table->widths = TAKE_PTR(widths);
}

/* ---- by libsmartcols ---- */

static void make_columns(struct nvl_table *table, FILE *to)
{
    const char *bold = nvl_style_sequence(NVL_TITLE, to);

    table->scols = check_result(lib.scols_new_table());
    lib.scols_table_set_termforce(table->scols, SCOLS_TERMFORCE_NEVER); /* it would break words */
    if (bold[0] != '\0')
        lib.scols_table_enable_colors(table->scols, 1);
    for (size_t i = 0; i < table->columns.count; i++) {
        struct libscols_column *column = check_result(lib.scols_table_new_column(
            table->scols, table->columns.items[i], 0, table->widths != NULL ? SCOLS_FL_WRAP : 0));
        if (table->widths != NULL) {
            lib.scols_column_set_safechars(column, "\n");
            lib.scols_column_set_wrapfunc(column, lib.scols_wrapnl_chunksize, lib.scols_wrapnl_nextchunk,
                                          NULL);
        }
        if (bold[0] != '\0')
            lib.scols_cell_set_color(lib.scols_column_get_header(column), bold);
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

    for (size_t i = 0; i < table->columns.count; i++, *cell += strlen(*cell) + 1) {
        nvl_autofree char *wrapped = table->widths != NULL ? wrap_cell(*cell, table->widths[i]) : NULL;
        if (lib.scols_line_set_data(line, i, wrapped != NULL ? wrapped : *cell) != 0)
            nvl_out_of_memory();
    }
    return line;
}

static void color_line(struct nvl_table *table, struct libscols_line *line, FILE *to)
{
    for (; table->next_style < table->n_styles && table->styles[table->next_style].row == table->next_row;
         table->next_style++) {
        const struct cell_style *s = &table->styles[table->next_style];
        lib.scols_cell_set_color(lib.scols_line_get_cell(line, s->column), nvl_style_sequence(s->style, to));
    }
    table->next_row++;
}

/* Replaces the lines by those of the next rows; returns the last line, NULL if no row is left. `to` NULL:
 * without colours. */
static struct libscols_line *next_lines(struct nvl_table *table, size_t most, const char **cell, FILE *to)
{
    struct libscols_line *last = NULL;

    lib.scols_table_remove_lines(table->scols);
    for (size_t n = 0; n < most && *cell < table->cells.data + table->cells.len; n++) {
        last = add_line(table, cell);
        if (to != NULL && nvl_style_sequence(NVL_PLAIN, to)[0] != '\0')
            color_line(table, last, to);
    }
    return last;
}

/* Makes a row of cells as wide as the columns must be, by letting libsmartcols print to nowhere. */
static void find_widest(struct nvl_table *table, size_t at_a_time, struct nvl_buf *widest)
{
    nvl_autofree size_t *widths = nvl_xcalloc(table->columns.count, sizeof *widths);
    const char *cell = table->cells.data;

    lib.scols_table_enable_noheadings(table->scols, true);
    while (next_lines(table, at_a_time, &cell, NULL) != NULL) {
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
    if (nvl_is_on_terminal()) {
        fit(table);
        setlocale(LC_CTYPE, "C.UTF-8"); /* the library writes \\x… for what is no text in the locale */
    }
    make_columns(table, to);
    lib.scols_table_set_stream(table->scols, to);
    if (table->n_rows <= few || nvl_is_on_terminal()) {
        next_lines(table, table->n_rows, &cell, to);
        lib.scols_print_table(table->scols);
        return;
    }
    find_widest(table, few, &widest);
    while ((last = next_lines(table, few, &cell, to)) != NULL) {
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
    free(table->styles);
    free(table->widths);
    free(table);
}
