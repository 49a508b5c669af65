/* The user names NVIDIA's installer or archive: whether it fits this host, before anything is changed. */
#include "driver/choose_nvidia.h"

#include <string.h>

#include "base/machine.h"
#include "driver/installer_file.h"
#include "driver/origin.h"
#include "driver/run_file.h"

char *nvl_driver_misfit_text(const struct nvl_driver_need *need, const char *version,
                             enum nvl_flavour flavour)
{
    struct nvl_driver_answer a;

    nvl_driver_answer_of(need, version, flavour, &a);
    if (nvl_driver_verdict(&a) != NVL_VERDICT_UNFIT)
        return NULL;
    nvl_autofree char *why = nvl_driver_why_not(need, &a);
    nvl_autofree char *which = nvl_is_gpu_misfit(&a) ? nvl_gpu_generation_text(need, a.gpu)
                                                     : nvl_xasprintf("kernel %s", need->system->kernel);
    return nvl_xasprintf("driver %s does not fit %s: %s", version, which, why);
}

/* As far as the table knows. */
static bool fits_newest(const struct nvl_driver_need *need, const struct nvl_kernel_range *row)
{
    enum nvl_kernel_fit fit = nvl_kernel_fits(row, nvl_newest_kernel(need));

    return fit == NVL_KERNEL_FITS || fit == NVL_KERNEL_UNKNOWN;
}

/* What the GPUs need, else what is there; UNKNOWN if there is nothing. */
static enum nvl_flavour choose_flavour(const struct nvl_driver_need *need, enum nvl_flavour needed)
{
    if (needed != NVL_FLAVOUR_UNKNOWN)
        return needed;
    return need->loaded->loaded ? need->loaded->flavour : need->installed->flavour;
}

/* A GPU that the table does not know: the user knows better, but shall know that nvlxc does not. */
static char *unknown_text(const struct nvl_driver_need *need)
{
    const struct nvl_gpu *gpu = nvl_gpu_unknown(need);

    return gpu != NULL ? nvl_xasprintf("; nvlxc does not know whether it fits GPU %s (10de:%04x)", gpu->pci,
                                       gpu->pci_device)
                       : nvl_xstrdup("");
}

static void choose_installer(const struct nvl_driver_need *need, struct nvl_choice *c)
{
    const struct nvl_installer_file *file = need->wish->installer;
    const char *there = need->installed->version;
    nvl_auto(nvl_by_hand_clear) struct nvl_by_hand by_hand = {0};

    nvl_choose_by_hand(need, need->system->kernel, NULL, &by_hand);
    enum nvl_flavour flavour = choose_flavour(need, by_hand.flavour);
    if (file->is_vgpu_host) {
        c->problem = nvl_xasprintf("%s is NVIDIA's host driver for virtual GPUs: it has no CUDA, neither for "
                                   "the host nor for containers",
                                   file->path);
        c->hint = nvl_xstrdup("use NVIDIA's ordinary driver, or a merged one that has both");
        return;
    }
    if (file->architecture != NULL && strcmp(file->architecture, nvl_machine()->kernel) != 0) {
        c->problem = nvl_xasprintf("%s is for machines of another kind (%s)", file->path, file->architecture);
        nvl_autofree char *right = nvl_run_file(file->version);
        c->hint = nvl_xasprintf("download %s", right);
        return;
    }
    if ((c->problem = nvl_driver_misfit_text(need, file->version, flavour)) != NULL) {
        c->hint = nvl_xasprintf("use %s%s%s", by_hand.fits ? "the installer of " : "", by_hand.text,
                                by_hand.fits ? "" : ", or another kernel");
        return;
    }
    const struct nvl_kernel_range *row = nvl_support_driver(need->support, file->version, NULL, flavour);
    nvl_autofree char *unknown = unknown_text(need);
    c->kind = NVL_CHOICE_RUN;
    c->version = nvl_xstrdup(file->version);
    c->branch = nvl_xstrndup(file->version, strcspn(file->version, "."));
    c->flavour = flavour;
    c->source = row != NULL ? nvl_xstrdup(row->source) : NULL;
    c->fits_newest = fits_newest(need, row);
    c->kernel = nvl_xstrdup(need->system->kernel);
    bool is_older = there[0] != '\0' && nvl_version_compare(file->version, there) < 0;
    c->reason = nvl_xasprintf("%s of NVIDIA's installer%s%s%s", file->version,
                              is_older ? ", older than the installed " : "", is_older ? there : "", unknown);
}

/* Of two GPUs that no driver has together the user's file chooses one. */
static bool choose_for_one(const struct nvl_driver_need *need, const struct nvl_gpu *gpu,
                           const struct nvl_gpu *left_out, struct nvl_choice *c)
{
    struct nvl_gpu alone = *gpu;
    struct nvl_gpus gpus = {.items = &alone, .count = 1};
    struct nvl_driver_need its = *need;

    its.gpus = &gpus;
    choose_installer(&its, c);
    if (c->kind != NVL_CHOICE_RUN)
        return false;
    nvl_autofree char *reason = c->reason, *which = nvl_gpu_generation_text(need, left_out);
    c->reason = nvl_xasprintf("%s; %s stays without a driver: none has both", reason, which);
    return true;
}

void nvl_choose_installer(const struct nvl_driver_need *need, struct nvl_choice *c)
{
    const struct nvl_gpu *one, *other;

    if (!nvl_gpus_conflict(need, &one, &other)) {
        choose_installer(need, c);
        return;
    }
    if (choose_for_one(need, one, other, c))
        return;
    nvl_choice_clear(c);
    choose_for_one(need, other, one, c);
}

void nvl_choose_archive(const struct nvl_driver_need *need, struct nvl_choice *c)
{
    nvl_auto(nvl_by_hand_clear) struct nvl_by_hand by_hand = {0};
    const char *last = nvl_last_branch(need);

    nvl_choose_by_hand(need, need->system->kernel, NULL, &by_hand);
    if (last != NULL && !nvl_archive_has(need->system, last)) {
        c->problem =
            nvl_xasprintf("NVIDIA's archive for Debian %s has no driver of branch %s, the last for the GPU",
                          need->system->codename, last);
        c->hint = nvl_xasprintf("use %s%s", by_hand.fits ? "NVIDIA's installer of " : "", by_hand.text);
        return;
    }
    if (!by_hand.fits) {
        c->problem =
            nvl_xasprintf("no driver that nvlxc knows fits kernel %s and the GPUs", need->system->kernel);
        c->hint = nvl_xasprintf("boot another kernel, or use %s", by_hand.text);
        return;
    }
    enum nvl_flavour flavour = choose_flavour(need, by_hand.flavour);
    nvl_autofree char *unknown = unknown_text(need);
    nvl_autofree char *misfit = nvl_driver_misfit_text(need, need->installed->version, flavour);
    c->kind = NVL_CHOICE_ARCHIVE;
    c->installed_is_misfit = need->installed->origin == NVL_ORIGIN_ARCHIVE && misfit != NULL;
    c->branch = last != NULL ? nvl_xstrdup(last) : NULL;
    c->flavour = flavour != NVL_FLAVOUR_UNKNOWN ? flavour : NVL_FLAVOUR_OPEN;
    c->kernel = nvl_xstrdup(need->system->kernel);
    c->fits_newest = true; /* as its newest driver does, or none */
    c->reason = nvl_xasprintf("the newest of NVIDIA's archive%s%s%s", last != NULL ? ", of branch " : "",
                              last != NULL ? last : "", unknown);
}
