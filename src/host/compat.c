/* The reader of data/kernels.json, which the build compiles into the program, and the meaning of its rows. */
#include "host/compat.h"

#include <errno.h>
#include <jansson.h>

#include "base/root.h"

static const unsigned char knowledge[] = {
#include "host/kernels_json.inc"
};

static void drop_json(json_t **value)
{
    json_decref(*value);
}

static int read_strings(json_t *array, struct nvl_strv *v)
{
    size_t i;
    json_t *item;

    if (!json_is_array(array))
        return -EINVAL;
    json_array_foreach(array, i, item)
    {
        if (!json_is_string(item))
            return -EINVAL;
        nvl_strv_push(v, json_string_value(item));
    }
    return 0;
}

/* A key's string, copied; NULL if it is null. Sets *r if it is neither. */
static char *string_of(json_t *item, const char *key, int *r)
{
    json_t *value = json_object_get(item, key);

    if (value == NULL || (!json_is_string(value) && !json_is_null(value)))
        *r = -EINVAL;
    return json_is_string(value) ? nvl_xstrdup(json_string_value(value)) : NULL;
}

static int read_kernel(struct nvl_support *s, json_t *item)
{
    struct nvl_kernel_range *row = NVL_APPEND(s->kernels, s->n_kernels);
    int r = 0;

    *row = (struct nvl_kernel_range){
        .branch = string_of(item, "branch", &r),
        .from = string_of(item, "from", &r),
        .package = string_of(item, "package", &r),
        .suite = string_of(item, "suite", &r),
        .series = string_of(item, "series", &r),
        .flavour = string_of(item, "flavour", &r),
        .min = string_of(item, "min", &r),
        .max = string_of(item, "max", &r),
        .basis = string_of(item, "basis", &r),
        .source = string_of(item, "source", &r),
    };
    if (r < 0 || row->branch == NULL || row->basis == NULL || row->source == NULL)
        return -EINVAL;
    return read_strings(json_object_get(item, "fails"), &row->fails);
}

/* "2200-22b9" */
static int read_ids(const char *text, struct nvl_id_range *range)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv ends = {0};
    uint64_t first, last;

    nvl_strv_split(&ends, text, "-");
    if (ends.count != 2 || nvl_parse_uint(ends.items[0], 16, 0xffff, &first) < 0 ||
        nvl_parse_uint(ends.items[1], 16, 0xffff, &last) < 0 || first > last)
        return -EINVAL;
    *range = (struct nvl_id_range){(unsigned)first, (unsigned)last};
    return 0;
}

static int read_generation(struct nvl_support *s, json_t *item)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv ids = {0}, flavours = {0};
    struct nvl_generation *g = NVL_APPEND(s->generations, s->n_generations);
    int r = read_strings(json_object_get(item, "ids"), &ids);

    if (r == 0)
        r = read_strings(json_object_get(item, "flavours"), &flavours);
    *g = (struct nvl_generation){
        .name = string_of(item, "name", &r),
        .first = string_of(item, "first", &r),
        .last = string_of(item, "last", &r),
        .open = nvl_strv_contains(&flavours, "open"),
        .proprietary = nvl_strv_contains(&flavours, "proprietary"),
    };
    if (r < 0 || g->name == NULL)
        return -EINVAL;
    for (size_t i = 0; i < ids.count; i++)
        if (read_ids(ids.items[i], NVL_APPEND(g->ids, g->n_ids)) < 0)
            return -EINVAL;
    return 0;
}

static int read_all(struct nvl_support *s, json_t *json)
{
    json_t *kernels, *generations, *item;
    int format;
    size_t i;

    if (json_unpack(json, "{s:i, s:o, s:o}", "format", &format, "kernels", &kernels, "generations",
                    &generations) < 0 ||
        format != 1)
        return -EINVAL;
    json_array_foreach(kernels, i, item) if (read_kernel(s, item) < 0) return -EINVAL;
    json_array_foreach(generations, i, item) if (read_generation(s, item) < 0) return -EINVAL;
    return 0;
}

int nvl_support_parse(struct nvl_support *s, const char *text, size_t len, struct nvl_error *err)
{
    json_error_t why;
    json_t nvl_auto(drop_json) *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);

    *s = (struct nvl_support){0};
    int r = json != NULL ? read_all(s, json) : -EINVAL;
    if (r < 0) {
        nvl_support_clear(s);
        return nvl_error_set(err, r, "the table of kernels and drivers is malformed%s%s",
                             json == NULL ? ": " : "", json == NULL ? why.text : "");
    }
    return 0;
}

int nvl_support_read(struct nvl_support *s, struct nvl_error *err)
{
    return nvl_support_parse(s, (const char *)knowledge, sizeof knowledge, err);
}

static void clear_kernel(struct nvl_kernel_range *row)
{
    free(row->branch);
    free(row->from);
    free(row->package);
    free(row->suite);
    free(row->series);
    free(row->flavour);
    free(row->min);
    free(row->max);
    nvl_strv_clear(&row->fails);
    free(row->basis);
    free(row->source);
}

void nvl_support_clear(struct nvl_support *s)
{
    for (size_t i = 0; i < s->n_kernels; i++)
        clear_kernel(&s->kernels[i]);
    for (size_t i = 0; i < s->n_generations; i++) {
        free(s->generations[i].name);
        free(s->generations[i].ids);
        free(s->generations[i].first);
        free(s->generations[i].last);
    }
    free(s->kernels);
    free(s->generations);
    *s = (struct nvl_support){0};
}

/* "550" of "550.163.01", "6.17" of "6.17.2-1-pve"; the caller frees. */
static char *first_groups(const char *version, size_t groups)
{
    size_t len = 0;

    while (version[len] >= '0' && version[len] <= '9') {
        len += strspn(version + len, "0123456789");
        if (--groups == 0 || version[len] != '.')
            break;
        len++;
    }
    return nvl_xstrndup(version, len);
}

static bool row_is_about(const struct nvl_kernel_range *row, const char *version, const char *package,
                         enum nvl_flavour flavour)
{
    nvl_autofree char *branch = first_groups(version, 1);
    const char *flavour_name = nvl_flavour_name(flavour);

    return strcmp(row->branch, branch) == 0 &&
           (row->from == NULL || nvl_version_compare(version, row->from) >= 0) &&
           (row->package == NULL || (package != NULL && strcmp(row->package, package) == 0)) &&
           (row->flavour == NULL || (flavour_name != NULL && strcmp(row->flavour, flavour_name) == 0));
}

/* Whether `a` is more specific than `b`; both are about the driver. */
static bool is_closer(const struct nvl_kernel_range *a, const struct nvl_kernel_range *b)
{
    if ((a->package != NULL) != (b->package != NULL))
        return a->package != NULL;
    if (a->from == NULL || b->from == NULL)
        return a->from != NULL;
    int order = nvl_version_compare(a->from, b->from);
    return order != 0 ? order > 0 : a->flavour != NULL && b->flavour == NULL;
}

const struct nvl_kernel_range *nvl_support_driver(const struct nvl_support *s, const char *version,
                                                  const char *package, enum nvl_flavour flavour)
{
    const struct nvl_kernel_range *best = NULL;

    for (size_t i = 0; i < s->n_kernels; i++) {
        const struct nvl_kernel_range *row = &s->kernels[i];
        if (row_is_about(row, version, package, flavour) && (best == NULL || is_closer(row, best)))
            best = row;
    }
    return best;
}

char *nvl_kernel_series(const char *kernel)
{
    return first_groups(kernel, 2);
}

enum nvl_kernel_fit nvl_kernel_fits(const struct nvl_kernel_range *range, const char *kernel)
{
    nvl_autofree char *series = nvl_kernel_series(kernel != NULL ? kernel : "");

    if (range == NULL || series[0] == '\0')
        return NVL_KERNEL_UNKNOWN;
    if (nvl_strv_contains(&range->fails, series))
        return NVL_KERNEL_FAILS;
    if (range->max != NULL && nvl_version_compare(series, range->max) > 0)
        return NVL_KERNEL_TOO_NEW;
    if (range->min != NULL && nvl_version_compare(series, range->min) < 0)
        return NVL_KERNEL_TOO_OLD;
    return range->max != NULL ? NVL_KERNEL_FITS : NVL_KERNEL_UNKNOWN;
}

const struct nvl_generation *nvl_support_generation(const struct nvl_support *s, unsigned pci_device)
{
    for (size_t i = 0; i < s->n_generations; i++)
        for (size_t n = 0; n < s->generations[i].n_ids; n++) {
            const struct nvl_id_range *ids = &s->generations[i].ids[n];
            if (pci_device >= ids->first && pci_device <= ids->last)
                return &s->generations[i];
        }
    return NULL;
}

enum nvl_gpu_fit nvl_generation_fits(const struct nvl_generation *g, const char *version,
                                     enum nvl_flavour flavour)
{
    if (g == NULL)
        return NVL_GPU_UNKNOWN;
    nvl_autofree char *branch = first_groups(version, 1);
    if (branch[0] == '\0')
        return NVL_GPU_UNKNOWN;
    if (g->first != NULL && nvl_version_compare(branch, g->first) < 0)
        return NVL_GPU_TOO_NEW;
    if (g->last != NULL && nvl_version_compare(branch, g->last) > 0)
        return NVL_GPU_TOO_OLD;
    if (flavour == NVL_FLAVOUR_OPEN && !g->open)
        return NVL_GPU_NEEDS_PROPRIETARY;
    if (flavour == NVL_FLAVOUR_PROPRIETARY && !g->proprietary)
        return NVL_GPU_NEEDS_OPEN;
    return NVL_GPU_FITS;
}
