/* Lists the ways to a driver: the table's rows by source and branch, and the installed one among them. */
#include "base/fix.h"
#include "driver/ways.h"

#include <string.h>

#include "driver/choose.h"
#include "driver/distribution.h"
#include "driver/origin.h"
#include "host/module.h"

static void clear_way(struct nvl_driver_way *way)
{
    free(way->source);
    free(way->branch);
    free(way->version);
    free(way->why_not);
    free(way->kernel);
    *way = (struct nvl_driver_way){0};
}

void nvl_driver_ways_clear(struct nvl_driver_ways *ways)
{
    for (size_t i = 0; i < ways->count; i++)
        clear_way(&ways->items[i]);
    free(ways->items);
    free(ways->kernel);
    free(ways->note);
    *ways = (struct nvl_driver_ways){0};
}

char *nvl_way_version(const struct nvl_driver_way *way)
{
    if (!way->or_newer)
        return way->version != NULL ? nvl_xstrdup(way->version) : NULL;
    return strcmp(way->version, way->branch) == 0
               ? nvl_xasprintf("any of %s", way->branch)
               : nvl_xasprintf("%s or newer of %s", way->version, way->branch);
}

static bool is_equal_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* ---- the table's ---- */

static enum nvl_way_kind kind_of(const struct nvl_driver_answer *a)
{
    if (a->supplier == NVL_SUPPLIER_NVIDIA)
        return NVL_WAY_RUN;
    return a->row->series != NULL                  ? NVL_WAY_SERIES
           : a->supplier == NVL_SUPPLIER_BACKPORTS ? NVL_WAY_BACKPORTS
                                                   : NVL_WAY_DEBIAN;
}

static bool is_from_nvidia(enum nvl_way_kind kind)
{
    return kind == NVL_WAY_RUN || kind == NVL_WAY_ARCHIVE;
}

static char *source_of(const struct nvl_driver_need *need, enum nvl_way_kind kind, const char *series)
{
    switch (kind) {
    case NVL_WAY_DEBIAN:
        return nvl_xasprintf("Debian %s", need->system->codename);
    case NVL_WAY_BACKPORTS:
        return nvl_xasprintf("%s-backports", need->system->codename);
    case NVL_WAY_SERIES:
        return nvl_xasprintf("Debian %s", series);
    case NVL_WAY_RUN:
        return nvl_xstrdup("NVIDIA .run");
    case NVL_WAY_ARCHIVE:
        return nvl_xstrdup("NVIDIA archive");
    case NVL_WAY_DISTRIBUTION:
        return nvl_xasprintf("%s's packages", need->system->id);
    default:
        return nvl_xstrdup("unknown origin");
    }
}

static bool is_of_group(const struct nvl_driver_answer *a, const struct nvl_driver_answer *first)
{
    return kind_of(a) == kind_of(first) && is_equal_text(a->row->series, first->row->series) &&
           strcmp(a->row->branch, first->row->branch) == 0;
}

/* For one source and branch: what fits; of that NVIDIA's oldest, since any newer one of its branch also does.
 * Of what does not fit the newest, which is the nearest. */
static bool is_better(const struct nvl_driver_answer *a, const struct nvl_driver_answer *b)
{
    enum nvl_verdict fit = nvl_driver_verdict(a);

    if (fit != nvl_driver_verdict(b))
        return fit < nvl_driver_verdict(b);
    int order = nvl_version_compare(nvl_row_version(a->row), nvl_row_version(b->row));
    if (order != 0)
        return fit == NVL_VERDICT_FITS && kind_of(a) == NVL_WAY_RUN ? order < 0 : order > 0;
    return nvl_is_gpu_misfit(b) && !nvl_is_gpu_misfit(a);
}

/* The other flavor of the same driver is no worse. */
static bool is_either(const struct nvl_driver_answers *answers, const struct nvl_driver_answer *best)
{
    for (size_t i = 0; i < answers->count; i++) {
        const struct nvl_driver_answer *a = &answers->items[i];
        if (a->flavour != best->flavour && is_of_group(a, best) &&
            is_equal_text(a->row->from, best->row->from) &&
            is_equal_text(a->row->package, best->row->package) && a->kernel_fit == best->kernel_fit &&
            a->gpu_fit == best->gpu_fit)
            return true;
    }
    return false;
}

static void add_way(const struct nvl_driver_need *need, const struct nvl_driver_answers *answers,
                    const struct nvl_driver_answer *best, enum nvl_way_kind kind,
                    struct nvl_driver_ways *ways)
{
    const struct nvl_kernel_range *row = best->row;
    const char *version = row->package != NULL ? row->package : nvl_row_version(row);
    enum nvl_verdict fit = nvl_driver_verdict(best);

    *NVL_APPEND(ways->items, ways->count) = (struct nvl_driver_way){
        .kind = kind,
        .source = source_of(need, kind, row->series),
        .branch = nvl_xstrdup(row->branch),
        .version = nvl_xstrdup(version),
        .or_newer = is_from_nvidia(kind) && fit == NVL_VERDICT_FITS,
        .flavour = is_either(answers, best) ? "either" : nvl_flavour_name(best->flavour),
        .fit = fit,
        .why_not = nvl_driver_why_not(need, best),
    };
}

/* Adds the best of the group that the answer `at` begins, unless an earlier one began it. Of NVIDIA's only
 * what is newer than `newer_than`: a branch without any such one is left out. */
static void add_best(const struct nvl_driver_need *need, const struct nvl_driver_answers *answers, size_t at,
                     enum nvl_way_kind kind, const char *newer_than, struct nvl_driver_ways *ways)
{
    const struct nvl_driver_answer *first = &answers->items[at], *best = NULL;

    for (size_t i = 0; i < answers->count; i++) {
        const struct nvl_driver_answer *a = &answers->items[i];
        if (!is_of_group(a, first))
            continue;
        if (i < at)
            return;
        if (newer_than != NULL && nvl_version_compare(nvl_row_version(a->row), newer_than) <= 0)
            continue;
        if (best == NULL || is_better(a, best))
            best = a;
    }
    if (best != NULL)
        add_way(need, answers, best, kind, ways);
}

/* ---- the installed one ---- */

static enum nvl_way_kind kind_of_installed(const struct nvl_installed_driver *d)
{
    switch (d->origin) {
    case NVL_ORIGIN_DEBIAN:
        return d->series != NULL ? NVL_WAY_SERIES : NVL_WAY_DEBIAN;
    case NVL_ORIGIN_ARCHIVE:
        return NVL_WAY_ARCHIVE;
    case NVL_ORIGIN_RUN:
        return NVL_WAY_RUN;
    case NVL_ORIGIN_DISTRIBUTION:
        return NVL_WAY_DISTRIBUTION;
    default:
        return NVL_WAY_OTHER;
    }
}

static char *source_of_installed(const struct nvl_driver_need *need, enum nvl_way_kind kind)
{
    const struct nvl_installed_driver *d = need->installed;

    if (d->origin == NVL_ORIGIN_VGPU)
        return nvl_xstrdup("NVIDIA's vGPU host");
    if (d->origin == NVL_ORIGIN_FOLDER)
        return nvl_xstrdup(d->folder);
    if (kind == NVL_WAY_DEBIAN)
        return nvl_xstrdup("Debian's packages");
    return source_of(need, kind, d->series);
}

/* Fills the way in with what is installed; false if nothing is. */
static bool find_present_driver(const struct nvl_driver_need *need, struct nvl_driver_way *way,
                                struct nvl_driver_answer *a)
{
    const struct nvl_installed_driver *d = need->installed;
    const char *version = nvl_driver_answer_installed(need, a);
    bool is_package = d->package_version != NULL && d->version[0] != '\0',
         is_vgpu = d->origin == NVL_ORIGIN_VGPU;
    enum nvl_way_kind kind = kind_of_installed(d);

    if (version == NULL)
        return false;
    *way = (struct nvl_driver_way){
        .kind = kind,
        .source = source_of_installed(need, kind),
        .branch = version[0] != '\0' ? nvl_xstrndup(version, strspn(version, "0123456789")) : NULL,
        .version = is_package           ? nvl_xstrdup(d->package_version)
                   : version[0] != '\0' ? nvl_xstrdup(version)
                                        : NULL,
        .flavour = nvl_flavour_name(a->flavour),
        .fit = is_vgpu ? NVL_VERDICT_UNFIT : nvl_driver_verdict(a),
        .why_not = is_vgpu ? nvl_xstrdup("has no CUDA") : nvl_driver_why_not(need, a),
        .is_installed = true,
    };
    return true;
}

/* The version that another one must be newer than: the installed one's, if it is too old. NULL for any. */
static const char *find_floor(const struct nvl_driver_need *need, const struct nvl_driver_answer *a)
{
    bool is_newer_wanted = nvl_driver_verdict(a) == NVL_VERDICT_UNFIT &&
                           (a->gpu_fit == NVL_GPU_TOO_NEW || !nvl_is_gpu_misfit(a));

    return is_newer_wanted && need->installed->version[0] != '\0' ? need->installed->version : NULL;
}

/* Whether the table's way is what is installed: a package by its version, NVIDIA's by its branch. */
static bool is_installed_way(const struct nvl_driver_way *way, const struct nvl_driver_way *installed)
{
    if (is_from_nvidia(way->kind))
        return way->kind == installed->kind && is_equal_text(way->branch, installed->branch);
    return (way->kind == NVL_WAY_SERIES) == (installed->kind == NVL_WAY_SERIES) &&
           installed->kind <= NVL_WAY_SERIES && is_equal_text(way->version, installed->version);
}

/* Puts the installed driver in the place of the way that it is, or beside the ways. */
static void merge_installed(struct nvl_driver_way *installed, struct nvl_driver_ways *ways)
{
    for (size_t i = 0; i < ways->count; i++) {
        struct nvl_driver_way *way = &ways->items[i];
        if (!is_installed_way(way, installed) ||
            (is_from_nvidia(way->kind) && installed->fit == NVL_VERDICT_UNFIT))
            continue;
        installed->kind = way->kind;
        free(installed->source);
        installed->source = TAKE_PTR(way->source);
        clear_way(way);
        *way = *installed;
        return;
    }
    *NVL_APPEND(ways->items, ways->count) = *installed;
}

/* ---- which is recommended ---- */

/* By its branch or its version. */
static struct nvl_driver_way *find_way(struct nvl_driver_ways *ways, enum nvl_way_kind kind,
                                       const char *branch, const char *version)
{
    for (size_t i = 0; i < ways->count; i++) {
        struct nvl_driver_way *way = &ways->items[i];
        if (way->kind == kind && (branch == NULL || is_equal_text(way->branch, branch)) &&
            (version == NULL || is_equal_text(way->version, version)))
            return way;
    }
    return NULL;
}

static struct nvl_driver_way *find_present_way(struct nvl_driver_ways *ways)
{
    for (size_t i = 0; i < ways->count; i++)
        if (ways->items[i].is_installed && ways->items[i].fit != NVL_VERDICT_UNFIT)
            return &ways->items[i];
    return NULL;
}

/* With another kernel of Proxmox's, what does not fit this one does. */
static struct nvl_driver_way *find_chosen(const struct nvl_choice *c, struct nvl_driver_ways *ways)
{
    enum nvl_way_kind kind = c->series != NULL ? NVL_WAY_SERIES
                             : c->backports    ? NVL_WAY_BACKPORTS
                                               : NVL_WAY_DEBIAN;
    struct nvl_driver_way *way = find_way(ways, kind, NULL, c->version);

    if (way == NULL || !c->needs_kernel)
        return way;
    way->fit = NVL_VERDICT_FITS;
    way->kernel = nvl_xstrdup(c->kernel);
    way->flavour = nvl_flavour_name(c->flavour);
    free(TAKE_PTR(way->why_not));
    return way;
}

static struct nvl_driver_way *find_nvidias(const struct nvl_driver_need *need, const char *floor,
                                           struct nvl_driver_ways *ways)
{
    bool is_archive = need->installed->origin == NVL_ORIGIN_ARCHIVE;
    nvl_auto(nvl_by_hand_clear) struct nvl_by_hand h = {0};

    nvl_choose_by_hand(need, need->system->kernel, floor, &h);
    return h.fits ? find_way(ways, is_archive ? NVL_WAY_ARCHIVE : NVL_WAY_RUN, h.branch, NULL) : NULL;
}

static struct nvl_driver_way *find_recommended(const struct nvl_driver_need *need, const struct nvl_choice *c,
                                               const char *floor, struct nvl_driver_ways *ways)
{
    struct nvl_driver_way *present = find_present_way(ways);

    if (c->is_final || !nvl_has_host_gpu(need))
        return present;
    if (c->kind == NVL_CHOICE_PACKAGE || (c->kind == NVL_CHOICE_NONE && c->version != NULL))
        return find_chosen(c, ways);
    if (present != NULL)
        return present;
    if (nvl_family_of(need->system) != NVL_FAMILY_DEBIAN)
        return find_way(ways, NVL_WAY_DISTRIBUTION, NULL, NULL);
    return find_nvidias(need, floor, ways);
}

/* ---- all ---- */

static int compare_ways(const void *one, const void *other)
{
    const struct nvl_driver_way *a = one, *b = other;

    if (a->is_recommended != b->is_recommended)
        return a->is_recommended ? -1 : 1;
    if (a->fit != b->fit)
        return a->fit < b->fit ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return nvl_version_compare(a->version != NULL ? a->version : "", b->version != NULL ? b->version : "");
}

static char *find_note(const struct nvl_driver_need *need, const struct nvl_choice *c, bool is_recommended)
{
    char *conflict = nvl_conflict_note(need);

    if (!nvl_has_host_gpu(need))
        return nvl_xasprintf("%s: only the kernel was looked at",
                             need->gpus->count > 0 ? "vfio-pci has this host's GPUs, for virtual machines"
                                                   : "this host has no NVIDIA GPU");
    if (conflict != NULL)
        return conflict;
    if (need->installed->origin == NVL_ORIGIN_VGPU)
        return nvl_xstrdup(nvl_vgpu_text);
    nvl_autofree char *hint = nvl_fix_in_line(c->hint);
    return !is_recommended && c->problem != NULL ? nvl_xasprintf("%s: %s", c->problem, hint) : NULL;
}

/* The sources that the table knows nothing of: another distribution's. NVIDIA's installer works on all but
 * NixOS, which has no /usr for it. */
static void add_other_packages(const struct nvl_driver_need *need, struct nvl_driver_ways *ways)
{
    if (nvl_family_of(need->system) != NVL_FAMILY_DEBIAN && need->system->id != NULL &&
        need->installed->origin != NVL_ORIGIN_DISTRIBUTION)
        *NVL_APPEND(ways->items, ways->count) = (struct nvl_driver_way){
            .kind = NVL_WAY_DISTRIBUTION,
            .source = source_of(need, NVL_WAY_DISTRIBUTION, NULL),
            .fit = NVL_VERDICT_UNKNOWN,
            .why_not = nvl_xstrdup("unknown to nvlxc"),
        };
}

static void add_of_table(const struct nvl_driver_need *need, const char *floor, struct nvl_driver_ways *ways)
{
    nvl_auto(nvl_driver_answers_clear) struct nvl_driver_answers answers;
    bool has_installer = nvl_family_of(need->system) != NVL_FAMILY_NIXOS;

    nvl_driver_answers_rank(need, need->system->kernel, &answers);
    for (size_t i = 0; i < answers.count; i++) {
        enum nvl_way_kind kind = kind_of(&answers.items[i]);
        if (kind != NVL_WAY_RUN)
            add_best(need, &answers, i, kind, NULL, ways);
        else if (has_installer)
            add_best(need, &answers, i, kind, floor, ways);
        if (kind == NVL_WAY_RUN && nvl_archive_has(need->system, answers.items[i].row->branch))
            add_best(need, &answers, i, NVL_WAY_ARCHIVE, floor, ways);
    }
}

void nvl_driver_ways_find(const struct nvl_driver_need *need, struct nvl_driver_ways *ways)
{
    nvl_auto(nvl_choice_clear) struct nvl_choice choice = {0};
    struct nvl_driver_way installed;
    struct nvl_driver_answer answer;
    const char *kernel = need->system->kernel;

    *ways = (struct nvl_driver_ways){.kernel = kernel != NULL ? nvl_xstrdup(kernel) : NULL};
    bool is_installed = find_present_driver(need, &installed, &answer);
    const char *floor = is_installed ? find_floor(need, &answer) : NULL;
    add_of_table(need, floor, ways);
    add_other_packages(need, ways);
    if (is_installed)
        merge_installed(&installed, ways);
    if (nvl_can_set_up(need->system))
        nvl_choose_driver(need, &choice);
    struct nvl_driver_way *best = find_recommended(need, &choice, floor, ways);
    if (best != NULL)
        best->is_recommended = true;
    ways->note = find_note(need, &choice, best != NULL);
    if (ways->count > 0)
        qsort(ways->items, ways->count, sizeof *ways->items, compare_ways);
}
