/* Reads the table of drivers, kernels and GPUs. Users write parts of it, and a captured host may be hostile:
 * what becomes part of a command has the form of one, and each mistake is reported with its file and row. */
#include "host/compat_table.h"

#include <errno.h>
#include <jansson.h>

#include "base/root.h"

#define TABLE_MAX (1u << 20)
#define TEXT_MAX  300
#define OWN_TABLE "nvlxc's own table of drivers"

static const unsigned char knowledge[] = {
#include "host/kernels_json.inc"
};

/* ---- the form ---- */

/* Where a value stands, for messages. */
struct place {
    const char *file, *list;
    size_t row;
    struct nvl_error *err;
};

static int refuse_row(const struct place *at, const char *key, const char *what)
{
    nvl_error_set(at->err, -EINVAL, "%s: %s, row %zu: %s%s%s%s", at->file, at->list, at->row,
                  key != NULL ? "'" : "", key != NULL ? key : "", key != NULL ? "' " : "", what);
    nvl_error_hint(at->err, "correct the row, or move the file away: nvlxc then goes by its own table");
    return -EINVAL;
}

static bool is_branch(const char *s)
{
    return s[0] != '\0' && s[strspn(s, "0123456789")] == '\0';
}

static bool is_driver_version(const char *s)
{
    return nvl_is_version(s, strlen(s));
}

static bool is_kernel_series(const char *s)
{
    size_t major = strspn(s, "0123456789");

    return major > 0 && s[major] == '.' && is_branch(s + major + 1);
}

/* What becomes part of a command. */
static bool is_package_word(const char *s)
{
    nvl_autofree char *plain = nvl_xstrdup(s);

    for (char *c = plain; *c != '\0'; c++)
        *c = *c == '~' || *c == ':' ? '+' : *c; /* of a package's version */
    return s[0] != '\0' && s[0] != '-' && nvl_is_plain(plain);
}

static bool is_flavour(const char *s)
{
    return strcmp(s, "open") == 0 || strcmp(s, "proprietary") == 0;
}

static bool is_basis(const char *s)
{
    return strcmp(s, "built") == 0 || strcmp(s, "claimed") == 0 || strcmp(s, "reported") == 0;
}

static bool is_one_line(const char *s)
{
    for (const char *c = s; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    return s[0] != '\0' && strlen(s) <= TEXT_MAX;
}

struct form {
    bool (*has)(const char *s);
    const char *what; /* to follow a key's name */
};
static const struct form branch_form = {is_branch, "must be a branch, such as \"580\""},
                         version_form = {is_driver_version, "must be a version, such as \"580.105.08\""},
                         kernel_form = {is_kernel_series, "must be two numbers, such as \"6.17\""},
                         name_form = {is_package_word, "must be a name or a version of a package"},
                         flavour_form = {is_flavour, "must be \"open\" or \"proprietary\""},
                         basis_form = {is_basis, "must be \"built\", \"claimed\" or \"reported\""},
                         line_form = {is_one_line, "must be a line of text"};

/* A key with one text; `to` is the offset of the row's copy. */
struct field {
    const char *key;
    size_t to;
    const struct form *form;
    bool is_needed;
};
#define KERNEL(key, form, is_needed)                                                                         \
    {                                                                                                        \
#key, offsetof(struct nvl_kernel_range, key), form, is_needed                                        \
    }
#define GENERATION(key, form, is_needed)                                                                     \
    {                                                                                                        \
#key, offsetof(struct nvl_generation, key), form, is_needed                                          \
    }
static const struct field kernel_fields[] = {
    KERNEL(branch, &branch_form, true), KERNEL(from, &version_form, false),
    KERNEL(package, &name_form, false), KERNEL(suite, &name_form, false),
    KERNEL(series, &name_form, false),  KERNEL(flavour, &flavour_form, false),
    KERNEL(min, &kernel_form, false),   KERNEL(max, &kernel_form, false),
    KERNEL(basis, &basis_form, true),   KERNEL(source, &line_form, true),
};
static const struct field generation_fields[] = {
    GENERATION(name, &line_form, true),
    GENERATION(first, &branch_form, false),
    GENERATION(last, &branch_form, false),
};

static char **text_at(void *row, const struct field *field)
{
    return (char **)((char *)row + field->to);
}

static const struct field *field_of(const struct field *fields, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(fields[i].key, key) == 0)
            return &fields[i];
    return NULL;
}

/* "ids flavours" has "ids", not "id". */
static bool has_word(const char *words, const char *word)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv list = {0};

    nvl_strv_split(&list, words, " ");
    return nvl_strv_contains(&list, word);
}

/* Reads the texts of a row, and refuses keys that are none of them and not one of `lists`. */
static int read_texts(json_t *item, const struct field *fields, size_t n, const char *lists, void *row,
                      const struct place *at)
{
    const char *key;
    json_t *value;

    if (!json_is_object(item))
        return refuse_row(at, NULL, "must be an object: {\"branch\": ...}");
    json_object_foreach(item, key, value)
    {
        const struct field *field = field_of(fields, n, key);
        if (field == NULL && !has_word(lists, key))
            return refuse_row(at, key, "is no key of such a row");
        if (field == NULL || json_is_null(value))
            continue;
        if (!json_is_string(value) || !field->form->has(json_string_value(value)))
            return refuse_row(at, key, field->form->what);
        *text_at(row, field) = nvl_xstrdup(json_string_value(value));
    }
    for (size_t i = 0; i < n; i++)
        if (fields[i].is_needed && *text_at(row, &fields[i]) == NULL)
            return refuse_row(at, fields[i].key, "is missing");
    return 0;
}

/* A key with a list of texts; empty without the key. */
static int read_list(json_t *item, const char *key, const struct form *form, struct nvl_strv *v,
                     const struct place *at)
{
    json_t *array = json_object_get(item, key), *value;
    size_t i;

    if (array != NULL && !json_is_array(array))
        return refuse_row(at, key, "must be a list");
    json_array_foreach(array, i, value)
    {
        if (!json_is_string(value) || !form->has(json_string_value(value)))
            return refuse_row(at, key, form->what);
        nvl_strv_push(v, json_string_value(value));
    }
    return 0;
}

/* ---- the rows ---- */

static int read_kernel(json_t *item, struct nvl_kernel_range *row, const struct place *at)
{
    int r = read_texts(item, kernel_fields, NVL_LENGTH(kernel_fields), "fails", row, at);

    if (r == 0)
        r = read_list(item, "fails", &kernel_form, &row->fails, at);
    if (r < 0)
        return r;
    if ((row->suite != NULL || row->series != NULL) && row->package == NULL)
        return refuse_row(at, "package", "is missing: a suite and a series have one");
    return 0;
}

/* "2200-22b9" */
static bool parse_ids(const char *text, struct nvl_id_range *range)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv ends = {0};
    uint64_t first, last;

    nvl_strv_split(&ends, text, "-");
    if (ends.count != 2 || nvl_parse_uint(ends.items[0], 16, 0xffff, &first) < 0 ||
        nvl_parse_uint(ends.items[1], 16, 0xffff, &last) < 0 || first > last)
        return false;
    *range = (struct nvl_id_range){(unsigned)first, (unsigned)last};
    return true;
}

static bool is_ids(const char *text)
{
    struct nvl_id_range range;

    return parse_ids(text, &range);
}

static int read_generation(json_t *item, struct nvl_generation *g, const struct place *at)
{
    static const struct form ids_form = {is_ids, "must be ranges of PCI device ids, such as \"2b80-2bff\""};
    nvl_auto(nvl_strv_clear) struct nvl_strv ids = {0}, flavours = {0};
    int r = read_texts(item, generation_fields, NVL_LENGTH(generation_fields), "ids flavours", g, at);

    if (r == 0)
        r = read_list(item, "ids", &ids_form, &ids, at);
    if (r == 0)
        r = read_list(item, "flavours", &flavour_form, &flavours, at);
    if (r < 0)
        return r;
    if (ids.count == 0 || flavours.count == 0)
        return refuse_row(at, ids.count == 0 ? "ids" : "flavours", "is missing");
    for (size_t i = 0; i < ids.count; i++)
        parse_ids(ids.items[i], NVL_APPEND(g->ids, g->n_ids));
    g->open = nvl_strv_contains(&flavours, "open");
    g->proprietary = nvl_strv_contains(&flavours, "proprietary");
    return 0;
}

static bool has_equal_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool is_about_same(const struct nvl_kernel_range *a, const struct nvl_kernel_range *b)
{
    return has_equal_text(a->branch, b->branch) && has_equal_text(a->from, b->from) &&
           has_equal_text(a->package, b->package) && has_equal_text(a->series, b->series) &&
           has_equal_text(a->flavour, b->flavour);
}

/* The row that another one replaces, emptied, or a new one. */
static struct nvl_kernel_range *place_for(struct nvl_support *s, const struct nvl_kernel_range *row)
{
    for (size_t i = 0; i < s->n_kernels; i++)
        if (is_about_same(&s->kernels[i], row)) {
            nvl_kernel_range_clear(&s->kernels[i]);
            return &s->kernels[i];
        }
    return NVL_APPEND(s->kernels, s->n_kernels);
}

static int read_rows(json_t *json, const char *file, struct nvl_support *s, struct nvl_error *err)
{
    struct place at = {file, "kernels", 0, err};
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(json, at.list), i, item)
    {
        struct nvl_kernel_range row = {0};
        at.row = i + 1;
        int r = read_kernel(item, &row, &at);
        *(r == 0 ? place_for(s, &row) : NVL_APPEND(s->kernels, s->n_kernels)) = row;
        if (r < 0)
            return r;
    }
    at.list = "generations";
    json_array_foreach(json_object_get(json, at.list), i, item)
    {
        at.row = i + 1;
        struct nvl_generation *g = NVL_APPEND(s->generations, s->n_generations);
        *g = (struct nvl_generation){0};
        int r = read_generation(item, g, &at);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- the files ---- */

static void drop_json(json_t **value)
{
    json_decref(*value);
}

static bool is_date(const char *s)
{
    return strlen(s) == strlen("2026-11-29") && s[strspn(s, "0123456789-")] == '\0';
}

/* The keys of the whole; other keys, "about", are the reader's. */
static int read_head(json_t *json, const char *file, struct nvl_support *s, struct nvl_error *err)
{
    json_t *format = json_object_get(json, "format"), *date = json_object_get(json, "date");
    json_t *kernels = json_object_get(json, "kernels"), *generations = json_object_get(json, "generations");

    if (!json_is_object(json) || !json_is_integer(format))
        return nvl_error_set(err, -EINVAL, "%s: must be an object with \"format\": 1", file);
    if (json_integer_value(format) != 1)
        return nvl_error_set(err, -EINVAL, "%s: its format is %lld, but this nvlxc reads format 1", file,
                             (long long)json_integer_value(format));
    if ((kernels != NULL && !json_is_array(kernels)) || (generations != NULL && !json_is_array(generations)))
        return nvl_error_set(err, -EINVAL, "%s: 'kernels' and 'generations' must be lists", file);
    if (date == NULL)
        return 0;
    if (!json_is_string(date) || !is_date(json_string_value(date)))
        return nvl_error_set(err, -EINVAL, "%s: 'date' must be a date, such as \"2026-11-29\"", file);
    free(s->date);
    s->date = nvl_xstrdup(json_string_value(date));
    return 0;
}

int nvl_support_add(struct nvl_support *s, const char *file, const char *text, size_t len,
                    struct nvl_error *err)
{
    json_error_t why;
    json_t nvl_auto(drop_json) *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);

    int r = json != NULL ? read_head(json, file, s, err)
                         : nvl_error_set(err, -EINVAL, "%s:%d: %s", file, why.line, why.text);
    if (r == 0)
        return read_rows(json, file, s, err);
    nvl_error_hint(err, "correct the file, or move it away: nvlxc then goes by its own table");
    return r;
}

/* -ENOENT, without an error, if there is no such file. */
static int read_table_file(const struct nvl_root *root, const char *file, struct nvl_support *s,
                           struct nvl_error *err)
{
    nvl_autofree char *text = NULL;
    size_t len;
    int r = nvl_root_read(root, file, TABLE_MAX, &text, &len);

    if (r == -ENOENT || r == -ENOTDIR)
        return -ENOENT;
    if (r == -EINVAL || r == -EISDIR)
        return nvl_error_set(err, r, "%s is not a regular file", file);
    return r < 0 ? nvl_error_errno(err, r, "cannot read %s", file) : nvl_support_add(s, file, text, len, err);
}

/* Takes a newer release's table instead of the own one. */
static int read_shipped(const struct nvl_root *root, struct nvl_support *s, struct nvl_error *err)
{
    nvl_auto(nvl_support_clear) struct nvl_support shipped = {0};
    int r = read_table_file(root, NVL_TABLE_SHIPPED, &shipped, err);

    if (r == 0 && shipped.date != NULL && strcmp(shipped.date, s->date) > 0) {
        struct nvl_support own = *s;
        *s = shipped;
        shipped = own;
    }
    return r == -ENOENT ? 0 : r;
}

int nvl_support_read(const struct nvl_root *root, struct nvl_support *s, struct nvl_error *err)
{
    *s = (struct nvl_support){0};
    int r = nvl_support_add(s, OWN_TABLE, (const char *)knowledge, sizeof knowledge, err);

    if (r == 0 && root != NULL)
        r = read_shipped(root, s, err);
    if (r == 0 && root != NULL)
        r = read_table_file(root, NVL_TABLE_LOCAL, s, err);
    if (r == -ENOENT)
        r = 0;
    if (r < 0)
        nvl_support_clear(s);
    return r;
}
