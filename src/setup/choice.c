/* The choice of the driver: rows of the table against this kernel and these GPUs. */
#include "setup/choice.h"

#include <string.h>

/* What a row is held against. */
struct need {
    const struct nvl_setup_facts *facts;
    const struct nvl_support *support;
    const char *kernel;
};

/* A GPU that a virtual machine has is not ours to drive. */
static bool is_ours(const struct nvl_gpu *gpu)
{
    return gpu->driver != NVL_GPU_VFIO;
}

static bool drives_all(const struct need *need, const char *version, enum nvl_flavour flavour)
{
    const struct nvl_gpus *gpus = &need->facts->gpus;

    for (size_t i = 0; i < gpus->count; i++) {
        const struct nvl_generation *g = nvl_support_generation(need->support, gpus->items[i].pci_device);
        enum nvl_gpu_fit fit = nvl_generation_fits(g, version, flavour);
        if (is_ours(&gpus->items[i]) && fit != NVL_GPU_FITS && fit != NVL_GPU_UNKNOWN)
            return false;
    }
    return true;
}

static const char *row_version(const struct nvl_kernel_range *row)
{
    return row->from != NULL ? row->from : row->branch;
}

static bool row_fits(const struct need *need, const struct nvl_kernel_range *row, enum nvl_flavour flavour)
{
    return (row->flavour == NULL || strcmp(row->flavour, nvl_flavour_name(flavour)) == 0) &&
           nvl_kernel_fits(row, need->kernel) == NVL_KERNEL_FITS &&
           drives_all(need, row_version(row), flavour);
}

/* The flavour that is installed before the other: going from one to the other removes packages. */
static enum nvl_flavour preferred(const struct nvl_setup_facts *facts, size_t i)
{
    bool open_first = nvl_setup_installed(facts, "nvidia-open-kernel-dkms") != NULL;

    return (i == 0) == open_first ? NVL_FLAVOUR_OPEN : NVL_FLAVOUR_PROPRIETARY;
}

/* Of those that are installed; the one that runs where none is known. */
static const char *newest_kernel(const struct nvl_setup_facts *f)
{
    const char *newest = f->system.kernel;

    for (size_t i = 0; i < f->kernels.count; i++)
        if (strverscmp(f->kernels.items[i], newest) > 0)
            newest = f->kernels.items[i];
    return newest;
}

/* dkms builds for the kernel that runs and for the newest, where it finds their headers; one that fails makes
 * the package fail. Source: dkms's common.postinst. */
static char *find_blocker(const struct need *need, const struct nvl_kernel_range *row)
{
    const struct nvl_setup_facts *f = need->facts;
    const char *newest = newest_kernel(f);

    for (size_t i = 0; i < f->headers.count; i++) {
        const char *kernel = f->headers.items[i];
        enum nvl_kernel_fit fit = nvl_kernel_fits(row, kernel);
        if ((strcmp(kernel, f->system.kernel) == 0 || strcmp(kernel, newest) == 0) &&
            (fit == NVL_KERNEL_TOO_NEW || fit == NVL_KERNEL_FAILS))
            return nvl_xstrdup(kernel);
    }
    return NULL;
}

static const struct nvl_kernel_range *find_row(const struct need *need, const char *suite,
                                               enum nvl_flavour flavour, bool for_newest)
{
    const char *newest = newest_kernel(need->facts);

    for (size_t i = 0; i < need->support->n_kernels; i++) {
        const struct nvl_kernel_range *row = &need->support->kernels[i];
        if (row->suite != NULL && strcmp(row->suite, suite) == 0 && row_fits(need, row, flavour) &&
            (!for_newest || nvl_kernel_fits(row, newest) == NVL_KERNEL_FITS))
            return row;
    }
    return NULL;
}

/* Fills the choice in where a packaged driver fits the kernel: one that fits the newest kernel too before one
 * that does not, the release's before that of backports, the proprietary module before the open one. */
static bool choose_package(const struct need *need, struct nvl_choice *c)
{
    for (unsigned i = 0; i < 8; i++) {
        bool for_newest = (i & 4) == 0, backports = (i & 2) != 0;
        enum nvl_flavour flavour = preferred(need->facts, i & 1);
        nvl_autofree char *suite =
            nvl_xasprintf("%s%s", need->facts->system.codename, backports ? "-backports" : "");
        const struct nvl_kernel_range *row = find_row(need, suite, flavour, for_newest);
        if (row == NULL)
            continue;
        c->kind = NVL_CHOICE_PACKAGE;
        c->branch = nvl_xstrdup(row->branch);
        c->source = nvl_xstrdup(row->source);
        c->flavour = flavour;
        c->backports = backports;
        c->fits_newest = for_newest;
        c->kernel = nvl_xstrdup(need->kernel);
        c->blocked_by = find_blocker(need, row);
        return true;
    }
    return false;
}

/* Proxmox's kernel series by release: what its archive has, beside the table of drivers. Oldest first. */
static const struct {
    int pve;
    const char *series;
} proxmox_kernels[] = {{8, "6.8"}, {8, "6.11"}, {8, "6.14"}, {9, "6.14"}, {9, "6.17"}};

/* Another kernel of Proxmox's, one that is installed before one that is not, the newest first. */
static bool choose_kernel(struct need *need, struct nvl_choice *c)
{
    const struct nvl_strv *kernels = &need->facts->kernels;
    const char *best = NULL;

    for (size_t i = 0; i < kernels->count; i++) {
        struct nvl_choice probe = {0};
        need->kernel = kernels->items[i];
        if (nvl_has_suffix(need->kernel, "-pve") && (best == NULL || strverscmp(need->kernel, best) > 0) &&
            choose_package(need, &probe))
            best = need->kernel;
        nvl_choice_clear(&probe);
    }
    if (best != NULL) {
        need->kernel = best;
        return choose_package(need, c);
    }
    for (size_t i = NVL_LENGTH(proxmox_kernels); i-- > 0;) {
        need->kernel = proxmox_kernels[i].series;
        if (proxmox_kernels[i].pve == need->facts->system.pve_major && choose_package(need, c)) {
            c->kernel_package = nvl_xasprintf("proxmox-kernel-%s", need->kernel);
            return true;
        }
    }
    return false;
}

/* The oldest driver that is said to fit this kernel, whoever packages it: what is left to install by hand. */
static const char *oldest_that_fits(const struct need *need)
{
    const char *oldest = NULL;

    for (size_t i = 0; i < need->support->n_kernels; i++) {
        const struct nvl_kernel_range *row = &need->support->kernels[i];
        if (row->package == NULL &&
            (row_fits(need, row, NVL_FLAVOUR_PROPRIETARY) || row_fits(need, row, NVL_FLAVOUR_OPEN)))
            if (oldest == NULL || nvl_version_compare(row_version(row), oldest) < 0)
                oldest = row_version(row);
    }
    return oldest;
}

static const char *newest_known(const struct nvl_support *support)
{
    const char *newest = NULL;

    for (size_t i = 0; i < support->n_kernels; i++)
        if (newest == NULL || nvl_version_compare(row_version(&support->kernels[i]), newest) > 0)
            newest = row_version(&support->kernels[i]);
    return newest;
}

/* Another installed kernel of Debian's that a packaged driver fits: there is no tool to pin it, but it can be
 * chosen at boot. */
static char *other_kernel(struct need *need)
{
    for (size_t i = need->facts->kernels.count; i-- > 0;) {
        struct nvl_choice probe = {0};
        need->kernel = need->facts->kernels.items[i];
        bool fits = choose_package(need, &probe);
        nvl_choice_clear(&probe);
        if (fits)
            return nvl_xstrdup(need->kernel);
    }
    return NULL;
}

static void say_no_driver_for_kernel(struct need *need, struct nvl_choice *c)
{
    const char *kernel = need->kernel, *by_hand = oldest_that_fits(need),
               *newest = newest_known(need->support);
    nvl_autofree char *other = other_kernel(need);
    nvl_autofree char *boot =
        other != NULL ? nvl_xasprintf(", or boot kernel %s, which one fits", other) : NULL;

    c->problem = nvl_xasprintf("no packaged driver supports kernel %s", kernel);
    c->hint =
        by_hand != NULL
            ? nvl_xasprintf("use NVIDIA's installer of %s or newer%s", by_hand, boot != NULL ? boot : "")
            : nvl_xasprintf("use NVIDIA's installer of a driver newer than %s, the newest that nvlxc "
                            "knows of%s",
                            newest != NULL ? newest : "this release", boot != NULL ? boot : "");
}

/* The branches that the release has, for messages: "550", "535". */
static char *packaged_branches(const struct need *need)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv branches = {0};

    for (size_t i = 0; i < need->support->n_kernels; i++) {
        const struct nvl_kernel_range *row = &need->support->kernels[i];
        if (row->suite != NULL && nvl_has_prefix(row->suite, need->facts->system.codename) &&
            !nvl_strv_contains(&branches, row->branch))
            nvl_strv_push(&branches, row->branch);
    }
    return branches.count > 0 ? nvl_strv_join(&branches, ", ") : nvl_xstrdup("none");
}

/* Whether a branch that the release has fits this GPU, the kernel left aside. */
static bool is_packaged_for(const struct need *need, const struct nvl_generation *g)
{
    for (size_t i = 0; i < need->support->n_kernels; i++) {
        const struct nvl_kernel_range *row = &need->support->kernels[i];
        if (row->suite == NULL || !nvl_has_prefix(row->suite, need->facts->system.codename))
            continue;
        for (size_t f = 0; f < 2; f++) {
            enum nvl_gpu_fit fit = nvl_generation_fits(g, row_version(row), preferred(need->facts, f));
            if (fit == NVL_GPU_FITS || fit == NVL_GPU_UNKNOWN)
                return true;
        }
    }
    return false;
}

/* Says so where a GPU is the reason: too new or too old for every packaged driver. */
static bool say_no_driver_for_gpu(const struct need *need, struct nvl_choice *c)
{
    nvl_autofree char *branches = packaged_branches(need);

    for (size_t i = 0; i < need->facts->gpus.count; i++) {
        const struct nvl_gpu *gpu = &need->facts->gpus.items[i];
        const struct nvl_generation *g = nvl_support_generation(need->support, gpu->pci_device);
        if (!is_ours(gpu) || is_packaged_for(need, g))
            continue;
        bool is_old = g->last != NULL && nvl_version_compare(g->last, branches) < 0;
        nvl_autofree char *which =
            nvl_xasprintf("GPU %s (10de:%04x, %s)", gpu->pci, gpu->pci_device, g->name);
        if (is_old) {
            c->problem = nvl_xasprintf("%s is too old: its last driver is %s, packaged is %s", which, g->last,
                                       branches);
            c->hint = nvl_xasprintf("use NVIDIA's installer of %s, on a kernel that it knows", g->last);
        } else {
            const char *by_hand = oldest_that_fits(need);
            c->problem = nvl_xasprintf("%s needs driver %s or newer%s, packaged is %s", which,
                                       g->first != NULL ? g->first : "of its own",
                                       g->proprietary ? "" : " with the open kernel modules", branches);
            c->hint = nvl_xasprintf("use NVIDIA's installer of %s or newer%s",
                                    by_hand != NULL ? by_hand : newest_known(need->support),
                                    g->proprietary ? "" : ", with --kernel-module-type=open");
        }
        return true;
    }
    return false;
}

/* "595" of "1:595.58-1" */
static char *branch_of(const char *package_version)
{
    const char *colon = strchr(package_version, ':');
    const char *upstream = colon != NULL ? colon + 1 : package_version;

    return nvl_xstrndup(upstream, strspn(upstream, "0123456789"));
}

/* A driver that the usual packages would get in the way of: one that is loaded and not theirs, a legacy one,
 * or packages of a newer branch, as NVIDIA's own archive has. */
static bool is_from_elsewhere(const struct nvl_setup_facts *facts, struct nvl_choice *c)
{
    const struct nvl_installed_driver *i = &facts->installed;

    if (i->package == NULL) {
        if (!facts->loaded.loaded)
            return false;
        c->reason = nvl_xasprintf("driver %s is loaded and is not a package of Debian's: it stays",
                                  facts->loaded.version);
        return true;
    }
    if (c->kind != NVL_CHOICE_PACKAGE) {
        if (!facts->loaded.loaded)
            return false;
        c->reason = nvl_xasprintf("driver %s is loaded and works on this kernel", facts->loaded.version);
        return true;
    }
    if (strcmp(i->package, "nvidia-kernel-dkms") != 0 && strcmp(i->package, "nvidia-open-kernel-dkms") != 0) {
        c->reason = nvl_xasprintf("%s %s is installed: it stays", i->package, i->package_version);
        return true;
    }
    nvl_autofree char *branch = branch_of(i->package_version != NULL ? i->package_version : "");
    if (branch[0] == '\0' || nvl_version_compare(branch, c->branch) <= 0)
        return false;
    c->reason = nvl_xasprintf("%s %s is installed, newer than what Debian has: it stays", i->package,
                              i->package_version);
    return true;
}

static void choose(struct need *need, struct nvl_choice *c)
{
    const struct nvl_system *system = &need->facts->system;

    if (need->facts->has_installer && need->facts->installed.package == NULL && !need->facts->loaded.loaded) {
        c->problem =
            nvl_xasprintf("a driver of NVIDIA's own installer is here, and its module is not loaded");
        c->hint = nvl_xasprintf("run that installer again for kernel %s, or nvidia-uninstall and then nvlxc "
                                "host setup",
                                system->kernel);
        return;
    }
    if (strstr(need->kernel, "-rt-") != NULL && !need->facts->loaded.loaded) {
        c->problem = nvl_xasprintf("kernel %s is a real-time one (PREEMPT_RT), and the driver does not build "
                                   "on those",
                                   need->kernel);
        c->hint = nvl_xasprintf("boot another kernel, as linux-image-amd64 has");
        return;
    }
    if (choose_package(need, c)) {
        c->reason = nvl_xasprintf("%s fits kernel %s and the GPU%s", c->branch, c->kernel,
                                  need->facts->gpus.count > 1 ? "s" : "");
        return;
    }
    if (need->facts->loaded.loaded || say_no_driver_for_gpu(need, c))
        return;
    if (system->is_proxmox && choose_kernel(need, c)) {
        c->needs_kernel = true;
        c->reason = nvl_xasprintf("no packaged driver supports kernel %s; %s fits %s", system->kernel,
                                  c->branch, c->kernel);
        return;
    }
    need->kernel = system->kernel;
    say_no_driver_for_kernel(need, c);
}

void nvl_choose_driver(const struct nvl_setup_facts *facts, const struct nvl_support *support,
                       struct nvl_choice *choice)
{
    struct need need = {facts, support, facts->system.kernel};

    *choice = (struct nvl_choice){0};
    choose(&need, choice);
    nvl_autofree char *chosen = TAKE_PTR(choice->reason);
    if (is_from_elsewhere(facts, choice)) {
        choice->kind = NVL_CHOICE_PRESENT;
        choice->needs_kernel = choice->backports = false;
        free(choice->kernel);
        choice->kernel = nvl_xstrdup(facts->system.kernel);
    } else {
        choice->reason = TAKE_PTR(chosen);
    }
}

void nvl_choice_clear(struct nvl_choice *choice)
{
    free(choice->branch);
    free(choice->source);
    free(choice->reason);
    free(choice->kernel);
    free(choice->kernel_package);
    free(choice->blocked_by);
    free(choice->problem);
    free(choice->hint);
    *choice = (struct nvl_choice){0};
}
