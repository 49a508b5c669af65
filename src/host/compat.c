/* The meaning of the table's rows. */
#include "host/compat.h"

void nvl_kernel_range_clear(struct nvl_kernel_range *row)
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
    *row = (struct nvl_kernel_range){0};
}

void nvl_support_clear(struct nvl_support *s)
{
    for (size_t i = 0; i < s->n_kernels; i++)
        nvl_kernel_range_clear(&s->kernels[i]);
    for (size_t i = 0; i < s->n_generations; i++) {
        free(s->generations[i].name);
        free(s->generations[i].ids);
        free(s->generations[i].first);
        free(s->generations[i].last);
    }
    free(s->kernels);
    free(s->generations);
    free(s->date);
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
    for (size_t i = s->n_generations; i-- > 0;) /* a file's rows come after the program's own */
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
