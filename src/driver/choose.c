/* The choice of the driver: the best of Debian's that fits, and if none fits, why. */
#include "driver/choose.h"

#include <string.h>

#include "base/machine.h"
#include "driver/choose_nvidia.h"
#include "driver/origin.h"
#include "driver/package_names.h"
#include "host/module.h"

/* dkms builds for the running kernel and for the newest, if it finds their headers; a failing build makes the
 * package fail. Source: dkms's common.postinst. */
static char *find_blocker(const struct nvl_driver_need *need, const struct nvl_kernel_range *row)
{
    const struct nvl_strv *buildable = &need->installed->buildable;
    const char *newest = nvl_newest_kernel(need);

    for (size_t i = 0; i < buildable->count; i++) {
        const char *kernel = buildable->items[i];
        enum nvl_kernel_fit fit = nvl_kernel_fits(row, kernel);
        if ((strcmp(kernel, need->system->kernel) == 0 || strcmp(kernel, newest) == 0) &&
            (fit == NVL_KERNEL_TOO_NEW || fit == NVL_KERNEL_FAILS))
            return nvl_xstrdup(kernel);
    }
    return NULL;
}

/* Whether these are packages of Debian's that the user does not exclude. */
static bool may_be_chosen(const struct nvl_driver_need *need, const struct nvl_driver_answer *a)
{
    const struct nvl_driver_wish *wish = need->wish;
    bool is_wished = wish != NULL && wish->source == NVL_WISH_DEBIAN;

    if (a->supplier == NVL_SUPPLIER_NVIDIA)
        return false;
    if (!is_wished)
        return true;
    return wish->series == NULL ? a->row->series == NULL
                                : a->row->series != NULL && strcmp(a->row->series, wish->series) == 0;
}

/* Fills the choice in if a packaged driver fits the kernel. */
static bool choose_package(const struct nvl_driver_need *need, const char *kernel, struct nvl_choice *c)
{
    nvl_auto(nvl_driver_answers_clear) struct nvl_driver_answers answers;

    nvl_driver_answers_rank(need, kernel, &answers);
    for (size_t i = 0; i < answers.count && answers.items[i].fits; i++) {
        const struct nvl_driver_answer *a = &answers.items[i];
        if (!may_be_chosen(need, a))
            continue;
        *c = (struct nvl_choice){
            .kind = NVL_CHOICE_PACKAGE,
            .branch = nvl_xstrdup(a->row->branch),
            .version = nvl_xstrdup(a->row->package),
            .series = a->row->series != NULL ? nvl_xstrdup(a->row->series) : NULL,
            .source = nvl_xstrdup(a->row->source),
            .flavour = a->flavour,
            .backports = a->supplier == NVL_SUPPLIER_BACKPORTS,
            .fits_newest = a->fits_newest,
            .kernel = nvl_xstrdup(kernel),
            .blocked_by = find_blocker(need, a->row),
        };
        return true;
    }
    return false;
}

static bool fits_any_package(const struct nvl_driver_need *need, const char *kernel)
{
    nvl_auto(nvl_choice_clear) struct nvl_choice probe = {0};

    return choose_package(need, kernel, &probe);
}

/* Proxmox's kernel series by release: what its archive has, besides the table of drivers. Oldest first. */
static const struct {
    int pve;
    const char *series;
} proxmox_kernels[] = {{8, "6.8"}, {8, "6.11"}, {8, "6.14"}, {9, "6.14"}, {9, "6.17"}, {9, "7.0"}};

/* Another of Proxmox's kernels: installed ones before others, the newest first. */
static bool choose_kernel(const struct nvl_driver_need *need, struct nvl_choice *c)
{
    const struct nvl_strv *kernels = &need->installed->bootable;
    const char *best = NULL;

    for (size_t i = 0; i < kernels->count; i++)
        if (nvl_has_suffix(kernels->items[i], "-pve") &&
            (best == NULL || strverscmp(kernels->items[i], best) > 0) &&
            fits_any_package(need, kernels->items[i]))
            best = kernels->items[i];
    if (best != NULL)
        return choose_package(need, best, c);
    for (size_t i = NVL_LENGTH(proxmox_kernels); i-- > 0;)
        if (proxmox_kernels[i].pve == need->system->pve_major &&
            choose_package(need, proxmox_kernels[i].series, c)) {
            c->kernel_package = nvl_xasprintf("proxmox-kernel-%s", proxmox_kernels[i].series);
            return true;
        }
    return false;
}

/* The packages that the user named do not fit, or this release has none of that name. */
static void say_wish_fails(const struct nvl_driver_need *need, struct nvl_choice *c)
{
    const char *series = need->wish->series;
    nvl_auto(nvl_driver_answers_clear) struct nvl_driver_answers answers;
    const struct nvl_driver_answer *a = NULL;

    nvl_driver_answers_rank(need, need->system->kernel, &answers);
    for (size_t i = 0; i < answers.count; i++)
        if (may_be_chosen(need, &answers.items[i]))
            a = &answers.items[i]; /* the newest */
    nvl_autofree char *name =
        series != NULL ? nvl_xasprintf("nvidia-%s", series) : nvl_xstrdup("main driver");
    if (a == NULL) {
        c->problem = nvl_xasprintf("Debian %s has no %s", need->system->codename, name);
    } else {
        nvl_autofree char *why = nvl_driver_why_not(need, a);
        c->problem = nvl_xasprintf("Debian's %s %s does not fit: %s", name, a->row->package, why);
    }
    c->hint = nvl_xstrdup("without --from it chooses one that fits, if there is one: nvlxc host setup");
}

/* Another installed kernel of Debian's that a packaged driver fits: there is no tool to pin it, but the user
 * can choose it at boot. */
static const char *find_other_kernel(const struct nvl_driver_need *need)
{
    for (size_t i = need->installed->bootable.count; i-- > 0;)
        if (fits_any_package(need, need->installed->bootable.items[i]))
            return need->installed->bootable.items[i];
    return NULL;
}

/* What remains where nothing that Debian packages fits: NVIDIA's own, as host setup installs it. The caller
 * frees. */
static char *text_of_nvidias(const struct nvl_driver_need *need, const struct nvl_by_hand *by_hand)
{
    bool has_archive = by_hand->fits && nvl_archive_has(need->system, by_hand->branch);

    if (!by_hand->fits)
        return nvl_xasprintf("it takes %s: nvlxc host setup --run FILE", by_hand->text);
    if (!has_archive)
        return nvl_xasprintf("NVIDIA has %s: nvlxc host setup --run FILE", by_hand->text);
    return nvl_xasprintf("NVIDIA has %s, in its archive: nvlxc host setup --from nvidia\n"
                         "or by its installer: nvlxc host setup --run FILE",
                         by_hand->text);
}

static void say_no_driver_for_kernel(const struct nvl_driver_need *need, struct nvl_choice *c)
{
    nvl_auto(nvl_by_hand_clear) struct nvl_by_hand by_hand;
    const char *other = find_other_kernel(need);

    nvl_choose_by_hand(need, need->system->kernel, NULL, &by_hand);
    nvl_autofree char *nvidias = text_of_nvidias(need, &by_hand);
    c->problem = nvl_xasprintf("no packaged driver supports kernel %s", need->system->kernel);
    c->hint = nvl_xasprintf("%s%s%s%s", nvidias, other != NULL ? "\nor boot kernel " : "",
                            other != NULL ? other : "", other != NULL ? ", which a packaged one fits" : "");
}

/* A row of this release's suites. */
static bool is_release_row(const struct nvl_driver_need *need, const struct nvl_kernel_range *row)
{
    return row->suite != NULL && nvl_has_prefix(row->suite, need->system->codename);
}

/* The branches of the release's packages, for messages: "550, 535". */
static char *packaged_branches(const struct nvl_driver_need *need)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv branches = {0};

    for (size_t i = 0; i < need->support->n_kernels; i++) {
        const struct nvl_kernel_range *row = &need->support->kernels[i];
        if (is_release_row(need, row))
            nvl_strv_push_once(&branches, row->branch);
    }
    return branches.count > 0 ? nvl_strv_join(&branches, ", ") : nvl_xstrdup("none");
}

static bool drives(const struct nvl_generation *g, const struct nvl_kernel_range *row)
{
    return nvl_generation_fits(g, nvl_row_version(row), NVL_FLAVOUR_PROPRIETARY) == NVL_GPU_FITS ||
           nvl_generation_fits(g, nvl_row_version(row), NVL_FLAVOUR_OPEN) == NVL_GPU_FITS;
}

/* Whether some package fits this GPU, whatever the kernel. */
static bool has_package(const struct nvl_driver_need *need, const struct nvl_generation *g)
{
    for (size_t i = 0; i < need->support->n_kernels; i++)
        if (is_release_row(need, &need->support->kernels[i]) && drives(g, &need->support->kernels[i]))
            return true;
    return false;
}

/* Says so if a GPU is the reason: unknown, or too new or too old for every packaged driver. */
static bool say_no_driver_for_gpu(const struct nvl_driver_need *need, struct nvl_choice *c)
{
    nvl_autofree char *branches = packaged_branches(need);
    nvl_auto(nvl_by_hand_clear) struct nvl_by_hand by_hand = {0};

    for (size_t i = 0; i < need->gpus->count; i++) {
        const struct nvl_gpu *gpu = &need->gpus->items[i];
        const struct nvl_generation *g = nvl_support_generation(need->support, gpu->pci_device);
        if (gpu->driver == NVL_GPU_VFIO || gpu->physical[0] != '\0' || g == NULL || has_package(need, g))
            continue;
        nvl_autofree char *which = nvl_gpu_generation_text(need, gpu);
        if (g->last != NULL && nvl_version_compare(g->last, branches) < 0) {
            c->problem = nvl_xasprintf("%s is too old: its last driver is %s, but Debian packages %s", which,
                                       g->last, branches);
            nvl_choose_by_hand(need, need->system->kernel, NULL, &by_hand);
            c->hint =
                by_hand.fits
                    ? text_of_nvidias(need, &by_hand)
                    : nvl_xasprintf("use NVIDIA's installer of %s, on a kernel that it supports", g->last);
            return true;
        }
        nvl_choose_by_hand(need, need->system->kernel, NULL, &by_hand);
        c->problem = nvl_xasprintf("%s needs driver %s or newer%s, but Debian packages %s", which,
                                   g->first != NULL ? g->first : "of its own",
                                   g->proprietary ? "" : " with the open kernel modules", branches);
        c->hint = text_of_nvidias(need, &by_hand);
        return true;
    }
    return false;
}

static bool say_gpus_are_in_conflict(const struct nvl_driver_need *need, struct nvl_choice *c)
{
    const struct nvl_gpu *one, *other;

    if (!nvl_gpus_conflict(need, &one, &other))
        return false;
    nvl_autofree char *which = nvl_gpu_generation_text(need, one);
    nvl_autofree char *and_which = nvl_gpu_generation_text(need, other);
    c->is_final = true;
    c->problem = nvl_xasprintf("no driver supports both %s and %s", which, and_which);
    c->hint = nvl_conflict_text(need, one, other);
    return true;
}

/* What no row can answer: GPUs that no driver supports together, and one that the table does not know. */
static bool say_gpus_are_the_matter(const struct nvl_driver_need *need, struct nvl_choice *c)
{
    const struct nvl_gpu *unknown = nvl_gpu_unknown(need);

    if (say_gpus_are_in_conflict(need, c))
        return true;
    if (unknown == NULL)
        return false;
    nvl_autofree char *which = nvl_gpu_generation_text(need, unknown);
    c->is_final = true;
    c->problem = nvl_xasprintf("nvlxc does not know %s, nor which driver fits it", which);
    c->hint =
        nvl_xstrdup("download the driver that NVIDIA names for this GPU (https://www.nvidia.com/drivers), "
                    "then: nvlxc host setup --run FILE");
    return true;
}

/* "595" of "1:595.58-1" */
static char *branch_of(const char *package_version)
{
    const char *upstream = nvl_skip_epoch(package_version);

    return nvl_xstrndup(upstream, strspn(upstream, "0123456789"));
}

/* Nothing is put over it: virtual machines may depend on it. */
static void say_vgpu_host(struct nvl_choice *c)
{
    c->is_final = true;
    c->problem = nvl_xstrdup(nvl_vgpu_text);
    c->hint =
        nvl_xstrdup("remove it (nvidia-uninstall), and run host setup again; virtual machines lose their "
                    "vGPUs then, unless a merged driver takes its place");
}

/* Why installed packages stay though others would be chosen: they are from NVIDIA's archive, of a series, or
 * of a newer branch. NULL if they are the chosen ones. */
static char *why_package_stays(const struct nvl_driver_need *need, const struct nvl_choice *c)
{
    const struct nvl_installed_driver *i = need->installed;

    if (i->origin == NVL_ORIGIN_ARCHIVE)
        return nvl_xasprintf("%s %s is installed, from NVIDIA's archive: it stays", i->package,
                             i->package_version);
    if (c->kind != NVL_CHOICE_PACKAGE)
        return need->loaded->loaded
                   ? nvl_xasprintf("driver %s is loaded and works on this kernel", need->loaded->version)
                   : NULL;
    if (i->series != NULL)
        return c->series != NULL && strcmp(c->series, i->series) == 0
                   ? NULL
                   : nvl_xasprintf("%s %s is installed: it stays", i->package, i->package_version);
    nvl_autofree char *branch = branch_of(i->package_version != NULL ? i->package_version : "");
    if (branch[0] == '\0' || nvl_version_compare(branch, c->branch) <= 0)
        return NULL;
    return nvl_xasprintf("%s %s is installed, newer than what Debian has: it stays", i->package,
                         i->package_version);
}

/* A driver that conflicts with the usual packages. */
static char *why_present_stays(const struct nvl_driver_need *need, const struct nvl_choice *c)
{
    bool is_package = need->installed->package != NULL && need->installed->origin != NVL_ORIGIN_RUN;

    if (is_package)
        return why_package_stays(need, c);
    return need->loaded->loaded
               ? nvl_xasprintf("driver %s is loaded and is not a package of Debian's: it stays",
                               need->loaded->version)
               : NULL;
}

/* A driver that would stay, but does not fit: only the user can say what takes its place. */
static bool refuse_present(const struct nvl_driver_need *need, struct nvl_choice *c)
{
    struct nvl_driver_answer a;
    const char *version = nvl_driver_answer_installed(need, &a);

    if (version == NULL || nvl_driver_verdict(&a) != NVL_VERDICT_UNFIT)
        return false;
    nvl_autofree char *why = nvl_driver_why_not(need, &a);
    bool is_archive = need->installed->origin == NVL_ORIGIN_ARCHIVE;
    bool is_replaceable = c->kind == NVL_CHOICE_PACKAGE;
    if (!is_archive && !is_replaceable)
        return c->problem != NULL; /* which says more */
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    nvl_purge_names(need->installed, &names);
    nvl_autofree char *list = nvl_strv_join(&names, " ");
    c->kind = NVL_CHOICE_NONE;
    if (is_archive)
        free(TAKE_PTR(c->version));
    free(c->problem);
    free(c->hint);
    c->problem = nvl_xasprintf("%s %s is installed, and does not fit: %s", need->installed->package,
                               need->installed->package_version, why);
    c->hint =
        is_archive
            ? nvl_xstrdup("upgrade it: nvlxc host setup --from nvidia")
            : nvl_xasprintf("look at what apt lists; %s takes its place: apt purge %s && nvlxc host setup",
                            c->version, list);
    return true;
}

/* The installer's driver stays: packages on top of it would remove it. dkms builds its module for this
 * kernel, if it has the source. */
static void choose_installed_run(const struct nvl_driver_need *need, struct nvl_choice *c)
{
    const char *kernel = need->system->kernel, *version = need->installed->version;
    const struct nvl_kernel_range *row =
        version[0] != '\0' ? nvl_support_driver(need->support, version, NULL, need->installed->flavour)
                           : NULL;
    enum nvl_kernel_fit fit = nvl_kernel_fits(row, kernel);
    bool is_misfit = fit == NVL_KERNEL_TOO_NEW || fit == NVL_KERNEL_FAILS;
    nvl_auto(nvl_by_hand_clear) struct nvl_by_hand by_hand = {0};

    if (!is_misfit && (need->installed->dkms_name != NULL || need->installed->module != NULL)) {
        c->kind = NVL_CHOICE_PRESENT;
        c->kernel = nvl_xstrdup(kernel);
        c->reason = nvl_xasprintf("driver %s of NVIDIA's installer is installed: it stays", version);
        return;
    }
    c->problem =
        version[0] != '\0'
            ? nvl_xasprintf("driver %s of NVIDIA's installer is installed, without a module", version)
            : nvl_xstrdup("files of NVIDIA's own installer are here, but no driver");
    if (is_misfit) {
        nvl_choose_by_hand(need, kernel, version, &by_hand);
        c->hint =
            nvl_xasprintf("it does not support kernel %s: download NVIDIA's installer of %s, then: nvlxc "
                          "host setup --run FILE",
                          kernel, by_hand.text);
    } else {
        c->hint =
            nvl_xasprintf("to install it for kernel %s: nvlxc host setup --run FILE; to have Debian's driver "
                          "instead: nvlxc host setup --from debian",
                          kernel);
    }
}

static void choose_by_release(const struct nvl_driver_need *need, enum nvl_wish_source wish,
                              struct nvl_choice *c)
{
    const struct nvl_system *system = need->system;

    if (need->installed->origin == NVL_ORIGIN_VGPU && wish != NVL_WISH_RUN) {
        say_vgpu_host(c);
        return;
    }
    if (strstr(system->kernel, "-rt-") != NULL && !need->loaded->loaded) {
        c->problem = nvl_xasprintf(
            "kernel %s is a real-time one (PREEMPT_RT), on which the driver does not build", system->kernel);
        c->hint = nvl_xasprintf("boot another kernel, such as that of linux-image-%s", nvl_machine()->debian);
        c->is_final = true;
        return;
    }
    if (wish == NVL_WISH_RUN) {
        nvl_choose_installer(need, c);
        return;
    }
    if (wish == NVL_WISH_ARCHIVE) {
        if (!say_gpus_are_in_conflict(need, c))
            nvl_choose_archive(need, c);
        return;
    }
    if (wish == NVL_WISH_BEST && need->installed->origin == NVL_ORIGIN_RUN && !need->loaded->loaded) {
        choose_installed_run(need, c);
        return;
    }
    if (choose_package(need, system->kernel, c)) {
        c->reason = nvl_xasprintf("%s%s fits kernel %s and the GPU%s", c->series != NULL ? "Debian's " : "",
                                  c->series != NULL ? c->series : c->branch, c->kernel,
                                  need->gpus->count > 1 ? "s" : "");
        return;
    }
    if (wish == NVL_WISH_DEBIAN) {
        say_wish_fails(need, c);
        return;
    }
    if ((wish == NVL_WISH_BEST && need->loaded->loaded) || say_gpus_are_the_matter(need, c) ||
        say_no_driver_for_gpu(need, c))
        return;
    if (system->is_proxmox && choose_kernel(need, c)) {
        c->needs_kernel = true;
        c->reason = nvl_xasprintf("no packaged driver supports kernel %s; %s fits %s", system->kernel,
                                  c->branch, c->kernel);
        return;
    }
    say_no_driver_for_kernel(need, c);
}

void nvl_choose_driver(const struct nvl_driver_need *need, struct nvl_choice *choice)
{
    enum nvl_wish_source wish = need->wish != NULL ? need->wish->source : NVL_WISH_BEST;

    *choice = (struct nvl_choice){0};
    choose_by_release(need, wish, choice);
    nvl_autofree char *stays =
        wish == NVL_WISH_BEST && !choice->is_final ? why_present_stays(need, choice) : NULL;
    if (stays == NULL || refuse_present(need, choice))
        return;
    choice->kind = NVL_CHOICE_PRESENT;
    choice->needs_kernel = choice->backports = false;
    free(choice->reason);
    free(choice->kernel);
    choice->reason = TAKE_PTR(stays);
    choice->kernel = nvl_xstrdup(need->system->kernel);
}

bool nvl_choice_installs(const struct nvl_choice *choice)
{
    return choice->kind != NVL_CHOICE_NONE && choice->kind != NVL_CHOICE_PRESENT;
}

void nvl_choice_clear(struct nvl_choice *choice)
{
    free(choice->branch);
    free(choice->version);
    free(choice->source);
    free(choice->reason);
    free(choice->kernel);
    free(choice->kernel_package);
    free(choice->blocked_by);
    free(choice->problem);
    free(choice->hint);
    free(choice->series);
    *choice = (struct nvl_choice){0};
}
