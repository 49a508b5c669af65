/* Compares the drivers of the table with a kernel and the host's GPUs. */
#include "driver/answers.h"

#include <string.h>

#include "driver/origin.h"
#include "host/gpu_state.h"

bool nvl_is_host_gpu(const struct nvl_gpu *gpu)
{
    return gpu->driver != NVL_GPU_VFIO && nvl_gpu_state(gpu) != NVL_GPU_IS_VIRTUAL;
}

bool nvl_has_host_gpu(const struct nvl_driver_need *need)
{
    for (size_t i = 0; i < need->gpus->count; i++)
        if (nvl_is_host_gpu(&need->gpus->items[i]))
            return true;
    return false;
}

const char *nvl_newest_kernel(const struct nvl_driver_need *need)
{
    const struct nvl_strv *kernels = &need->installed->bootable;
    const char *newest = need->system->kernel;

    for (size_t i = 0; i < kernels->count; i++)
        if (newest == NULL || strverscmp(kernels->items[i], newest) > 0)
            newest = kernels->items[i];
    return newest;
}

const char *nvl_row_version(const struct nvl_kernel_range *row)
{
    return row->from != NULL ? row->from : row->branch;
}

static bool is_of_branch(const char *version, const char *branch)
{
    size_t len = strlen(branch);

    return strncmp(version, branch, len) == 0 && (version[len] == '.' || version[len] == '\0');
}

/* A driver of the loaded driver's branch drives what that one drives, whatever the table says. */
static bool is_driven_by(const struct nvl_driver_need *need, const struct nvl_gpu *gpu, const char *version)
{
    nvl_autofree char *branch = nvl_xstrndup(version, strspn(version, "0123456789"));

    return gpu->driver == NVL_GPU_NVIDIA && need->loaded->loaded &&
           is_of_branch(need->loaded->version, branch);
}

/* For the first GPU that the driver does not fit; FITS if it fits each. */
static enum nvl_gpu_fit fit_gpus(const struct nvl_driver_need *need, const char *version,
                                 enum nvl_flavour flavour, const struct nvl_gpu **misfit)
{
    *misfit = NULL;
    for (size_t i = 0; i < need->gpus->count; i++) {
        const struct nvl_gpu *gpu = &need->gpus->items[i];
        const struct nvl_generation *g = nvl_support_generation(need->support, gpu->pci_device);
        enum nvl_gpu_fit fit = nvl_generation_fits(g, version, flavour);
        if (!nvl_is_host_gpu(gpu) || fit == NVL_GPU_FITS || (g == NULL && is_driven_by(need, gpu, version)))
            continue;
        *misfit = gpu;
        return fit;
    }
    return NVL_GPU_FITS;
}

/* For a row that this host can get; false for one of another release. */
static bool find_supplier(const struct nvl_driver_need *need, const struct nvl_kernel_range *row,
                          enum nvl_supplier *supplier)
{
    const char *codename = need->system->codename;
    size_t len = codename != NULL ? strlen(codename) : 0;

    *supplier = NVL_SUPPLIER_NVIDIA;
    if (row->suite == NULL)
        return row->package == NULL;
    if (len == 0 || strncmp(row->suite, codename, len) != 0)
        return false;
    *supplier = strcmp(row->suite + len, "-backports") == 0 ? NVL_SUPPLIER_BACKPORTS : NVL_SUPPLIER_RELEASE;
    return *supplier == NVL_SUPPLIER_BACKPORTS || row->suite[len] == '\0';
}

/* NVIDIA has had the open modules since 515; Debian's series have only the proprietary ones. */
static bool has_flavour(const struct nvl_kernel_range *row, enum nvl_flavour flavour)
{
    if (row->flavour != NULL)
        return strcmp(row->flavour, nvl_flavour_name(flavour)) == 0;
    return flavour != NVL_FLAVOUR_OPEN ||
           (row->series == NULL && nvl_version_compare(row->branch, "515") >= 0);
}

/* PREEMPT_RT, for which no driver builds (BUILD_EXCLUSIVE_CONFIG of its dkms.conf). */
static bool is_realtime(const char *kernel)
{
    return kernel != NULL && strstr(kernel, "-rt-") != NULL;
}

static void judge_row(const struct nvl_driver_need *need, const char *kernel, const char *version,
                      struct nvl_driver_answer *a)
{
    const char *newest = nvl_newest_kernel(need);

    a->kernel_fit = is_realtime(kernel) ? NVL_KERNEL_FAILS : nvl_kernel_fits(a->row, kernel);
    a->gpu_fit = fit_gpus(need, version, a->flavour, &a->gpu);
    a->fits = a->kernel_fit == NVL_KERNEL_FITS && a->gpu_fit == NVL_GPU_FITS;
    a->fits_newest = a->fits && nvl_kernel_fits(a->row, newest) == NVL_KERNEL_FITS;
}

void nvl_driver_answer_of(const struct nvl_driver_need *need, const char *version, enum nvl_flavour flavour,
                          struct nvl_driver_answer *a)
{
    *a = (struct nvl_driver_answer){.supplier = NVL_SUPPLIER_NVIDIA, .flavour = flavour};
    a->row = nvl_support_driver(need->support, version, NULL, flavour);
    judge_row(need, need->system->kernel, version, a);
    if (need->loaded->loaded && strcmp(need->loaded->version, version) == 0)
        a->kernel_fit = NVL_KERNEL_FITS;
}

const char *nvl_driver_answer_installed(const struct nvl_driver_need *need, struct nvl_driver_answer *a)
{
    const struct nvl_installed_driver *d = need->installed;
    const struct nvl_driver_version *loaded = need->loaded;
    bool is_package = d->package_version != NULL && d->version[0] != '\0';
    bool is_loaded = loaded->loaded && (!is_package || strcmp(d->version, loaded->version) == 0);
    const char *version = is_loaded && loaded->version[0] != '\0' ? loaded->version : d->version;

    if (d->origin == NVL_ORIGIN_NONE && !loaded->loaded)
        return NULL;
    *a = (struct nvl_driver_answer){.flavour = is_loaded ? loaded->flavour : d->flavour};
    a->row = nvl_support_driver(need->support, version, d->package_version, a->flavour);
    judge_row(need, need->system->kernel, version, a);
    if (is_loaded)
        a->kernel_fit = NVL_KERNEL_FITS;
    a->fits = a->kernel_fit == NVL_KERNEL_FITS && a->gpu_fit == NVL_GPU_FITS;
    return version;
}

static void add_answer(const struct nvl_driver_need *need, const char *kernel,
                       const struct nvl_kernel_range *row, enum nvl_supplier supplier,
                       enum nvl_flavour flavour, struct nvl_driver_answers *answers)
{
    if (!has_flavour(row, flavour))
        return;
    struct nvl_driver_answer *a = NVL_APPEND(answers->items, answers->count);
    *a = (struct nvl_driver_answer){.supplier = supplier, .row = row, .flavour = flavour};
    judge_row(need, kernel, nvl_row_version(row), a);
}

/* Installed packages of a series come first, since others would replace them; else those of a series last. */
static int rank_series(const struct nvl_driver_need *need, const struct nvl_kernel_range *row)
{
    const char *installed = need->installed->series;

    return row->series == NULL ? 1 : installed != NULL && strcmp(row->series, installed) == 0 ? 0 : 2;
}

/* The better one first; among equals the flavor that was added first, then the older driver. */
static int compare_answers(const struct nvl_driver_need *need, const struct nvl_driver_answer *x,
                           const struct nvl_driver_answer *y)
{
    int series = rank_series(need, x->row) - rank_series(need, y->row);

    if (x->fits != y->fits)
        return x->fits ? -1 : 1;
    if (series != 0)
        return series;
    if (x->fits_newest != y->fits_newest && x->supplier != NVL_SUPPLIER_NVIDIA &&
        y->supplier != NVL_SUPPLIER_NVIDIA)
        return x->fits_newest ? -1 : 1;
    if (x->supplier != y->supplier)
        return x->supplier < y->supplier ? -1 : 1;
    return nvl_version_compare(nvl_row_version(x->row), nvl_row_version(y->row));
}

static void sort_answers(const struct nvl_driver_need *need, struct nvl_driver_answers *answers)
{
    /* by insertion: it keeps the order of equals, and there are few */
    for (size_t i = 1; i < answers->count; i++)
        for (size_t n = i; n > 0 && compare_answers(need, &answers->items[n], &answers->items[n - 1]) < 0;
             n--) {
            struct nvl_driver_answer one = answers->items[n];
            answers->items[n] = answers->items[n - 1];
            answers->items[n - 1] = one;
        }
}

void nvl_driver_answers_rank(const struct nvl_driver_need *need, const char *kernel,
                             struct nvl_driver_answers *answers)
{
    /* switching between Debian's flavors removes packages */
    const char *package = need->installed->package;
    bool open_first = package != NULL && strcmp(package, "nvidia-open-kernel-dkms") == 0;

    *answers = (struct nvl_driver_answers){0};
    for (size_t f = 0; f < 2; f++)
        for (size_t i = 0; i < need->support->n_kernels; i++) {
            enum nvl_flavour flavour = (f == 0) == open_first ? NVL_FLAVOUR_OPEN : NVL_FLAVOUR_PROPRIETARY;
            enum nvl_supplier supplier;
            if (find_supplier(need, &need->support->kernels[i], &supplier))
                add_answer(need, kernel, &need->support->kernels[i], supplier, flavour, answers);
        }
    sort_answers(need, answers);
}

void nvl_driver_answers_clear(struct nvl_driver_answers *answers)
{
    free(answers->items);
    *answers = (struct nvl_driver_answers){0};
}

/* ---- the GPUs among themselves ---- */

const struct nvl_generation *nvl_gpu_generation(const struct nvl_driver_need *need, const struct nvl_gpu *gpu)
{
    return nvl_is_host_gpu(gpu) ? nvl_support_generation(need->support, gpu->pci_device) : NULL;
}

static bool have_common_driver(const struct nvl_generation *a, const struct nvl_generation *b)
{
    bool too_old_a = a->last != NULL && b->first != NULL && nvl_version_compare(a->last, b->first) < 0;
    bool too_old_b = b->last != NULL && a->first != NULL && nvl_version_compare(b->last, a->first) < 0;

    return !too_old_a && !too_old_b && ((a->open && b->open) || (a->proprietary && b->proprietary));
}

bool nvl_gpus_conflict(const struct nvl_driver_need *need, const struct nvl_gpu **one,
                       const struct nvl_gpu **other)
{
    for (size_t i = 0; i < need->gpus->count; i++)
        for (size_t n = i + 1; n < need->gpus->count; n++) {
            const struct nvl_generation *a = nvl_gpu_generation(need, &need->gpus->items[i]);
            const struct nvl_generation *b = nvl_gpu_generation(need, &need->gpus->items[n]);
            if (a == NULL || b == NULL || have_common_driver(a, b))
                continue;
            *one = &need->gpus->items[i];
            *other = &need->gpus->items[n];
            return true;
        }
    return false;
}

const struct nvl_gpu *nvl_gpu_unknown(const struct nvl_driver_need *need)
{
    for (size_t i = 0; i < need->gpus->count; i++) {
        const struct nvl_gpu *gpu = &need->gpus->items[i];
        if (nvl_is_host_gpu(gpu) && gpu->driver != NVL_GPU_NVIDIA && nvl_gpu_generation(need, gpu) == NULL)
            return gpu;
    }
    return NULL;
}

char *nvl_gpu_generation_text(const struct nvl_driver_need *need, const struct nvl_gpu *gpu)
{
    const struct nvl_generation *g = nvl_support_generation(need->support, gpu->pci_device);

    return nvl_xasprintf("GPU %s (10de:%04x%s%s)", gpu->pci, gpu->pci_device, g != NULL ? ", " : "",
                         g != NULL ? g->name : "");
}

/* "580 or older (proprietary modules)": which drivers support GPUs of the generation. */
static char *drivers_of(const struct nvl_generation *g)
{
    const char *flavour = g->open && g->proprietary ? ""
                          : g->open                 ? " (open modules)"
                                                    : " (proprietary modules)";

    if (g->last != NULL)
        return nvl_xasprintf("driver %s%s%s", g->last, g->first != NULL ? " or older" : "", flavour);
    return nvl_xasprintf("driver %s%s%s", g->first != NULL ? g->first : "of any branch",
                         g->first != NULL ? " or newer" : "", flavour);
}

char *nvl_conflict_text(const struct nvl_driver_need *need, const struct nvl_gpu *one,
                        const struct nvl_gpu *other)
{
    const struct nvl_generation *a = nvl_support_generation(need->support, one->pci_device);
    const struct nvl_generation *b = nvl_support_generation(need->support, other->pci_device);
    nvl_autofree char *for_a = drivers_of(a), *for_b = drivers_of(b);

    return nvl_xasprintf("%s leaves out GPU %s (%s); %s leaves out GPU %s (%s)", for_a, other->pci, b->name,
                         for_b, one->pci, a->name);
}

const char *nvl_last_branch(const struct nvl_driver_need *need)
{
    const char *last = NULL;

    for (size_t i = 0; i < need->gpus->count; i++) {
        const struct nvl_generation *g = nvl_gpu_generation(need, &need->gpus->items[i]);
        if (g != NULL && g->last != NULL && (last == NULL || nvl_version_compare(g->last, last) < 0))
            last = g->last;
    }
    return last;
}

/* The archive for Debian 12 began with CUDA 12.3, that for 13 with CUDA 13. */
bool nvl_archive_has(const struct nvl_system *system, const char *branch)
{
    const char *codename = system->codename != NULL ? system->codename : "";
    const char *first = strcmp(codename, "bookworm") == 0 ? "545"
                        : strcmp(codename, "trixie") == 0 ? "580"
                                                          : NULL;

    return nvl_family_of(system) == NVL_FAMILY_DEBIAN && first != NULL &&
           nvl_version_compare(branch, first) >= 0;
}

/* ---- in words ---- */

char *nvl_conflict_note(const struct nvl_driver_need *need)
{
    const struct nvl_gpu *one, *other;

    if (!nvl_gpus_conflict(need, &one, &other))
        return NULL;
    nvl_autofree char *a = nvl_gpu_generation_text(need, one), *b = nvl_gpu_generation_text(need, other);
    nvl_autofree char *text = nvl_conflict_text(need, one, other);
    return nvl_xasprintf("no driver supports both %s and %s: %s", a, b, text);
}

bool nvl_is_gpu_misfit(const struct nvl_driver_answer *a)
{
    return a->gpu_fit != NVL_GPU_FITS && a->gpu_fit != NVL_GPU_UNKNOWN;
}

static bool is_kernel_misfit(const struct nvl_driver_answer *a)
{
    return a->kernel_fit != NVL_KERNEL_FITS && a->kernel_fit != NVL_KERNEL_UNKNOWN;
}

enum nvl_verdict nvl_driver_verdict(const struct nvl_driver_answer *a)
{
    return a->fits                                       ? NVL_VERDICT_FITS
           : nvl_is_gpu_misfit(a) || is_kernel_misfit(a) ? NVL_VERDICT_UNFIT
                                                         : NVL_VERDICT_UNKNOWN;
}

static char *why_not_gpu(const struct nvl_driver_need *need, const struct nvl_driver_answer *a)
{
    const struct nvl_generation *g = nvl_support_generation(need->support, a->gpu->pci_device);

    switch (a->gpu_fit) {
    case NVL_GPU_TOO_NEW:
        return nvl_xasprintf("does not know %s", g->name);
    case NVL_GPU_TOO_OLD:
        return nvl_xasprintf("dropped %s", g->name);
    case NVL_GPU_NEEDS_OPEN:
        return nvl_xasprintf("%s needs open modules", g->name);
    case NVL_GPU_NEEDS_PROPRIETARY:
        return nvl_xasprintf("%s needs proprietary modules", g->name);
    default:
        return nvl_xasprintf("unknown for GPU 10de:%04x", a->gpu->pci_device);
    }
}

char *nvl_driver_why_not(const struct nvl_driver_need *need, const struct nvl_driver_answer *a)
{
    nvl_autofree char *series = need->system->kernel != NULL ? nvl_kernel_series(need->system->kernel) : NULL;

    if (nvl_is_gpu_misfit(a))
        return why_not_gpu(need, a);
    switch (a->kernel_fit) {
    case NVL_KERNEL_TOO_NEW:
        return nvl_xasprintf("builds up to kernel %s", a->row->max);
    case NVL_KERNEL_TOO_OLD:
        return nvl_xasprintf("builds from kernel %s on", a->row->min);
    case NVL_KERNEL_FAILS:
        return is_realtime(need->system->kernel) ? nvl_xstrdup("fails on a real-time kernel")
                                                 : nvl_xasprintf("fails on kernel %s", series);
    default:
        break;
    }
    if (a->gpu_fit != NVL_GPU_FITS)
        return why_not_gpu(need, a);
    if (a->kernel_fit == NVL_KERNEL_FITS)
        return NULL;
    return series != NULL ? nvl_xasprintf("unknown on kernel %s", series)
                          : nvl_xstrdup("unknown: no kernel is known");
}
