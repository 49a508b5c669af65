/* Chooses among NVIDIA's drivers of the table: the oldest that fits, and how far "or newer" goes. */
#include "driver/by_hand.h"

#include <string.h>

#include "driver/answers.h"

/* The flavor that one of the GPUs needs; UNKNOWN if both work. */
static enum nvl_flavour needed_flavour(const struct nvl_driver_need *need)
{
    for (size_t i = 0; i < need->gpus->count; i++) {
        const struct nvl_generation *g = nvl_gpu_generation(need, &need->gpus->items[i]);
        if (g != NULL && g->open != g->proprietary)
            return g->open ? NVL_FLAVOUR_OPEN : NVL_FLAVOUR_PROPRIETARY;
    }
    return NVL_FLAVOUR_UNKNOWN;
}

static bool is_nvidias(const struct nvl_driver_answer *a)
{
    return a->supplier == NVL_SUPPLIER_NVIDIA;
}

/* Of NVIDIA's answers, oldest driver first: the first that fits, from `at` on and newer than `newer_than`. */
static const struct nvl_driver_answer *next_fitting(const struct nvl_driver_answers *answers,
                                                    const struct nvl_driver_answer *after,
                                                    const char *newer_than)
{
    const struct nvl_driver_answer *best = NULL;

    for (size_t i = 0; i < answers->count; i++) {
        const struct nvl_driver_answer *a = &answers->items[i];
        const char *version = nvl_row_version(a->row);
        if (!is_nvidias(a) || !a->fits ||
            (newer_than != NULL && nvl_version_compare(version, newer_than) <= 0) ||
            (after != NULL && nvl_version_compare(a->row->branch, after->row->branch) <= 0))
            continue;
        if (best == NULL || nvl_version_compare(version, nvl_row_version(best->row)) < 0)
            best = a;
    }
    return best;
}

/* Whether every driver of a later branch fits the kernel, as far as the table knows: only then "or newer" may
 * leave the branch. For example, none of 590, which has ended, fits 6.19. */
static bool fit_later_branches(const struct nvl_driver_answers *answers, const struct nvl_driver_answer *a)
{
    for (size_t i = 0; i < answers->count; i++) {
        const struct nvl_driver_answer *later = &answers->items[i];
        bool is_misfit = later->kernel_fit == NVL_KERNEL_TOO_NEW || later->kernel_fit == NVL_KERNEL_FAILS;
        if (is_nvidias(later) && is_misfit && nvl_version_compare(later->row->branch, a->row->branch) > 0)
            return false;
    }
    return true;
}

/* The first of a later branch after which any newer one works; NULL for none. */
static const struct nvl_driver_answer *next_unbounded(const struct nvl_driver_answers *answers,
                                                      const struct nvl_driver_answer *first)
{
    const struct nvl_driver_answer *a = first;

    while ((a = next_fitting(answers, a, NULL)) != NULL)
        if (fit_later_branches(answers, a))
            return a;
    return NULL;
}

static char *text_of_fitting(const struct nvl_driver_need *need, const struct nvl_driver_answers *answers,
                             const struct nvl_driver_answer *first)
{
    const char *version = nvl_row_version(first->row), *branch = first->row->branch;
    bool is_bounded = nvl_last_branch(need) != NULL;

    if (!is_bounded && fit_later_branches(answers, first))
        return nvl_xasprintf("%s or newer", version);
    nvl_autofree char *of_branch = first->row->from != NULL
                                       ? nvl_xasprintf("%s or newer of branch %s", version, branch)
                                       : nvl_xasprintf("a driver of branch %s", branch);
    const struct nvl_driver_answer *later = is_bounded ? NULL : next_unbounded(answers, first);
    if (later == NULL)
        return nvl_xstrdup(of_branch);
    return nvl_xasprintf("%s, or %s or newer", of_branch, nvl_row_version(later->row));
}

/* Nothing known fits: the driver must be newer than all that are known. */
static char *text_of_unknown(const struct nvl_driver_need *need, const struct nvl_driver_answers *answers)
{
    const char *last = nvl_last_branch(need), *newest = NULL;

    for (size_t i = 0; i < answers->count; i++) {
        const struct nvl_driver_answer *a = &answers->items[i];
        bool is_allowed = is_nvidias(a) && (last == NULL || nvl_version_compare(a->row->branch, last) <= 0);
        if (is_allowed && (newest == NULL || nvl_version_compare(nvl_row_version(a->row), newest) > 0))
            newest = nvl_row_version(a->row);
    }
    if (newest == NULL && last != NULL)
        return nvl_xasprintf("a driver of branch %s", last);
    return nvl_xasprintf("a driver newer than %s, the newest that nvlxc knows%s",
                         newest != NULL ? newest : "this release of nvlxc",
                         last != NULL ? " for this GPU" : "");
}

/* The newest of the branch that fits and that the table names, since it also builds on the kernels that come
 * next; NULL for none. The caller frees. */
static char *name_fitting(const struct nvl_driver_answers *answers, const struct nvl_driver_answer *first)
{
    const char *newest = first->row->from;

    for (size_t i = 0; i < answers->count; i++) {
        const struct nvl_driver_answer *a = &answers->items[i];
        const char *from = a->row->from;
        if (is_nvidias(a) && a->fits && from != NULL && strcmp(a->row->branch, first->row->branch) == 0 &&
            (newest == NULL || nvl_version_compare(from, newest) > 0))
            newest = from;
    }
    return newest != NULL ? nvl_xstrdup(newest) : NULL;
}

/* For GPUs that have a last branch that one, which is still maintained, rather than an older one. */
static const struct nvl_driver_answer *first_fitting(const struct nvl_driver_need *need,
                                                     const struct nvl_driver_answers *answers,
                                                     const char *newer_than)
{
    const char *last = nvl_last_branch(need);
    const struct nvl_driver_answer *first = next_fitting(answers, NULL, newer_than), *a = first;

    while (last != NULL && a != NULL && strcmp(a->row->branch, last) != 0)
        a = next_fitting(answers, a, newer_than);
    return a != NULL ? a : first;
}

void nvl_choose_by_hand(const struct nvl_driver_need *need, const char *kernel, const char *newer_than,
                        struct nvl_by_hand *choice)
{
    nvl_auto(nvl_driver_answers_clear) struct nvl_driver_answers answers;

    nvl_driver_answers_rank(need, kernel, &answers);
    const struct nvl_driver_answer *first = first_fitting(need, &answers, newer_than);
    *choice = (struct nvl_by_hand){.fits = first != NULL, .flavour = needed_flavour(need)};
    if (first != NULL) {
        choice->branch = nvl_xstrdup(first->row->branch);
        choice->version = name_fitting(&answers, first);
        choice->text = text_of_fitting(need, &answers, first);
    } else {
        choice->text = text_of_unknown(need, &answers);
    }
}

void nvl_by_hand_clear(struct nvl_by_hand *choice)
{
    free(choice->branch);
    free(choice->version);
    free(choice->text);
    *choice = (struct nvl_by_hand){0};
}
