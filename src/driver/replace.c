/* From the installed driver to one that fits, by where it came from. */
#include "driver/replace.h"

#include <string.h>

#include "driver/distribution.h"
#include "driver/origin.h"
#include "driver/package_names.h"
#include "driver/run_file.h"

#define PIN_KERNEL "proxmox-boot-tool kernel pin %s && reboot"

static void add_distribution_driver(const struct nvl_driver_need *need, enum nvl_driver_action action,
                                    struct nvl_strv *fix)
{
    const char *last = nvl_last_branch(need);

    if (last != NULL)
        nvl_strv_pushf(fix,
                       "install NVIDIA's driver of branch %s, the last that supports this GPU, by this "
                       "distribution's own way",
                       last);
    else if (!nvl_distribution_add(need->system, action, fix))
        nvl_strv_push(fix, "install NVIDIA's driver, with its kernel module, from the distribution");
}

static const char from_components[] =
    "from contrib, non-free and non-free-firmware (stop if apt wants to remove a package):";

/* Debian's packages of the driver for programs without a screen; of a series if it has a name. */
static void add_packages(const struct nvl_driver_need *need, const char *series, enum nvl_flavour flavour,
                         struct nvl_strv *fix)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv packages = {0};
    nvl_autofree char *module = nvl_debian_module(flavour, series);

    nvl_strv_push(&packages, module);
    for (size_t i = 0; i < nvl_headless_length; i++) {
        nvl_autofree char *name = nvl_series_package(nvl_headless_packages[i], series);
        nvl_strv_push(&packages, name);
    }
    nvl_autofree char *list = nvl_strv_join(&packages, " ");
    nvl_advise_headers(need, fix);
    nvl_strv_pushf(fix, "apt install %s", list);
    nvl_strv_push(fix, "reboot");
}

/* Headers of a kernel on which the driver does not build make its package fail, so they must go first. */
static void add_setup_command(const struct nvl_driver_need *need, const struct nvl_choice *c,
                              struct nvl_strv *fix)
{
    struct nvl_system other = *need->system;

    other.kernel = c->blocked_by;
    nvl_autofree char *headers = nvl_headers_package(&other);
    if (headers != NULL)
        nvl_strv_pushf(fix,
                       "apt remove %s   # driver %s does not build on that kernel, and would not install",
                       headers, c->branch);
    nvl_strv_push(fix, "nvlxc host setup");
}

/* The lines by hand contain only what apt does without a change of its sources. */
static void add_setup(const struct nvl_driver_need *need, const struct nvl_choice *c, struct nvl_strv *fix)
{
    add_setup_command(need, c, fix);
    if (c->backports || c->needs_kernel || c->blocked_by != NULL || need->installed->package != NULL)
        return;
    nvl_strv_pushf(fix, "or by hand, %s", from_components);
    add_packages(need, c->series, c->flavour, fix);
}

/* GPUs that no driver supports together: the user chooses which one to leave out. */
static bool add_conflict(const struct nvl_driver_need *need, struct nvl_strv *fix)
{
    const struct nvl_gpu *pair[2];
    bool knows_options = nvl_can_set_up(need->system);

    if (!nvl_gpus_conflict(need, &pair[0], &pair[1]))
        return false;
    nvl_autofree char *text = nvl_conflict_text(need, pair[0], pair[1]);
    nvl_strv_push(fix,
                  "no driver supports all GPUs of this host: choose which of them containers should have");
    nvl_strv_push(fix, text);
    for (size_t i = 0; i < NVL_LENGTH(pair); i++) {
        struct nvl_gpu alone = *pair[i];
        struct nvl_gpus gpus = {.items = &alone, .count = 1};
        struct nvl_driver_need its = *need;
        nvl_auto(nvl_by_hand_clear) struct nvl_by_hand h = {0};
        its.gpus = &gpus;
        nvl_choose_by_hand(&its, nvl_need_kernel(need), NULL, &h);
        nvl_autofree char *which = nvl_gpu_generation_text(need, pair[i]);
        nvl_strv_pushf(fix, "NVIDIA's installer for %s: %s%s", which, h.text,
                       h.flavour == NVL_FLAVOUR_OPEN && !knows_options ? ", with --kernel-module-type=open"
                                                                       : "");
    }
    if (knows_options)
        nvl_strv_push(fix, "nvlxc host setup --run FILE   # that installer");
    return true;
}

/* If Debian has no driver that fits. */
static void add_unpackaged(const struct nvl_driver_need *need, const struct nvl_choice *c,
                           const char *newer_than, struct nvl_strv *fix)
{
    nvl_auto(nvl_by_hand_clear) struct nvl_by_hand h = {0};

    nvl_choose_by_hand(need, need->system->kernel, newer_than, &h);
    if (c->is_final) /* another driver of NVIDIA's does not help */
        nvl_strv_pushf(fix, "%s", c->hint);
    else
        nvl_add_by_hand(need, &h, fix);
}

void nvl_advise_install(const struct nvl_driver_need *need, struct nvl_strv *fix)
{
    nvl_auto(nvl_choice_clear) struct nvl_choice choice = {0};

    if (add_conflict(need, fix))
        return;
    if (nvl_can_set_up(need->system)) {
        nvl_choose_driver(need, &choice);
    } else if (nvl_family_of(need->system) != NVL_FAMILY_DEBIAN || need->system->kernel == NULL) {
        add_distribution_driver(need, NVL_ACTION_INSTALL, fix);
        return;
    }
    if (choice.kind == NVL_CHOICE_PACKAGE)
        add_setup(need, &choice, fix);
    else
        add_unpackaged(need, &choice, NULL, fix);
}

/* How a part of a version without digits sorts: "~" before the end, letters before all else. */
static int rank_of_char(char c)
{
    if (c == '~')
        return -1;
    return c == '\0' || (c >= '0' && c <= '9') ? 0 : ((c | 32) >= 'a' && (c | 32) <= 'z') ? c : 256 + c;
}

/* Whether a Debian package's version is newer than another (deb-version(7)); neither has an epoch. */
static bool is_newer_package(const char *a, const char *b)
{
    while (*a != '\0' || *b != '\0') {
        while (rank_of_char(*a) != 0 || rank_of_char(*b) != 0) {
            if (rank_of_char(*a) != rank_of_char(*b))
                return rank_of_char(*a) > rank_of_char(*b);
            a++;
            b++;
        }
        char *end_a, *end_b;
        unsigned long number_a = strtoul(a, &end_a, 10), number_b = strtoul(b, &end_b, 10);
        if (number_a != number_b)
            return number_a > number_b;
        a = end_a;
        b = end_b;
    }
    return false;
}

/* A package of the installed series that fits; NULL for none. */
static const struct nvl_kernel_range *find_series_row(const struct nvl_driver_need *need,
                                                      const struct nvl_driver_answers *answers)
{
    const struct nvl_installed_driver *d = need->installed;

    for (size_t i = 0; i < answers->count && answers->items[i].fits; i++) {
        const struct nvl_kernel_range *row = answers->items[i].row;
        if (row->series != NULL && strcmp(row->series, d->series) == 0 &&
            (d->package_version == NULL || is_newer_package(row->package, d->package_version)))
            return row;
    }
    return NULL;
}

static bool fits_main_package(const struct nvl_driver_answers *answers)
{
    for (size_t i = 0; i < answers->count && answers->items[i].fits; i++)
        if (answers->items[i].supplier != NVL_SUPPLIER_NVIDIA && answers->items[i].row->series == NULL)
            return true;
    return false;
}

/* A newer one of the same series, the main one, or NVIDIA's. */
static void add_newer_of_series(const struct nvl_driver_need *need, struct nvl_strv *fix)
{
    const struct nvl_installed_driver *d = need->installed;
    nvl_auto(nvl_driver_answers_clear) struct nvl_driver_answers answers;
    struct nvl_choice none = {0};

    nvl_driver_answers_rank(need, need->system->kernel, &answers);
    const struct nvl_kernel_range *row = find_series_row(need, &answers);
    if (row != NULL) {
        nvl_strv_pushf(fix, "apt update && apt install nvidia-%s-kernel-dkms   # %s, from %s", d->series,
                       row->package, row->suite);
    } else if (fits_main_package(&answers)) {
        nvl_add_purge(need, fix);
        nvl_strv_push(fix, "nvlxc host setup");
    } else {
        add_unpackaged(need, &none, d->version, fix);
    }
}

static void add_newer_of_debian(const struct nvl_driver_need *need, struct nvl_strv *fix)
{
    const struct nvl_installed_driver *d = need->installed;
    nvl_auto(nvl_choice_clear) struct nvl_choice c = {0};

    nvl_choose_driver(need, &c);
    bool helps = c.kind == NVL_CHOICE_PACKAGE && (c.needs_kernel || d->package_version == NULL ||
                                                  is_newer_package(c.version, d->package_version));
    if (c.needs_kernel && nvl_strv_contains(&d->kernels, c.kernel)) /* it has the module already */
        nvl_strv_pushf(fix, PIN_KERNEL, c.kernel);
    else if (helps)
        add_setup_command(need, &c, fix);
    else
        add_unpackaged(need, &c, d->version, fix);
}

/* NVIDIA's archive has all branches; apt takes the newest, unless a branch is pinned. Source: NVIDIA's driver
 * installation guide, "Version locking". */
static void add_archive(const struct nvl_driver_need *need, const struct nvl_by_hand *h,
                        enum nvl_flavour flavour, struct nvl_strv *fix)
{
    const char *last = nvl_last_branch(need);

    nvl_strv_pushf(fix, "# NVIDIA's driver %s", h->text);
    if (last != NULL)
        nvl_strv_pushf(fix, "apt update && apt install nvidia-driver-pinning-%s", last);
    nvl_strv_pushf(
        fix, "%sapt install %snvidia-driver-cuda %s", last == NULL ? "apt update && " : "",
        last != NULL ? "--allow-downgrades " : "",
        nvl_archive_module(need->installed, h->flavour != NVL_FLAVOUR_UNKNOWN ? h->flavour : flavour));
    nvl_strv_push(fix, "reboot");
}

/* Boots a kernel that the installed driver fits already. */
static void add_other_kernel(const struct nvl_driver_need *need, struct nvl_strv *fix)
{
    const struct nvl_strv *kernels = &need->installed->kernels;
    nvl_autofree char *pin = kernels->count > 0 ? nvl_xasprintf(PIN_KERNEL, kernels->items[0]) : NULL;

    if (pin == NULL || nvl_strv_contains(fix, pin))
        return;
    if (need->system->is_proxmox)
        nvl_strv_pushf(fix, "or: %s", pin);
    else
        nvl_strv_pushf(fix, "or reboot into kernel %s, which has the module", kernels->items[0]);
}

/* Another driver than the one of this version: a newer one if `newer_than` is set. */
static void add_another(const struct nvl_driver_need *need, const char *newer_than, enum nvl_flavour flavour,
                        struct nvl_strv *fix)
{
    nvl_auto(nvl_by_hand_clear) struct nvl_by_hand h = {0};

    nvl_choose_by_hand(need, nvl_need_kernel(need), newer_than, &h);
    if (h.flavour == NVL_FLAVOUR_UNKNOWN)
        h.flavour = flavour;
    switch (need->installed->origin) {
    case NVL_ORIGIN_DEBIAN:
        if (!nvl_can_set_up(need->system))
            nvl_add_by_hand(need, &h, fix);
        else if (need->installed->series != NULL)
            add_newer_of_series(need, fix);
        else
            add_newer_of_debian(need, fix);
        break;
    case NVL_ORIGIN_ARCHIVE:
        add_archive(need, &h, flavour, fix);
        break;
    case NVL_ORIGIN_DISTRIBUTION:
        add_distribution_driver(need, NVL_ACTION_UPGRADE, fix);
        break;
    case NVL_ORIGIN_FOLDER:
        nvl_strv_pushf(fix, "install NVIDIA's driver %s, with its libraries in %s", h.text,
                       need->installed->folder);
        break;
    default:
        nvl_add_by_hand(need, &h, fix);
        break;
    }
}

void nvl_advise_newer(const struct nvl_driver_need *need, struct nvl_strv *fix)
{
    const char *version = need->installed->version;

    add_another(need, version[0] != '\0' ? version : NULL, NVL_FLAVOUR_UNKNOWN, fix);
    add_other_kernel(need, fix);
}

/* The other flavor of the installed driver. */
static void add_other_flavour(const struct nvl_driver_need *need, enum nvl_flavour wanted,
                              struct nvl_strv *fix)
{
    nvl_auto(nvl_choice_clear) struct nvl_choice c = {0};

    switch (need->installed->origin) {
    case NVL_ORIGIN_RUN:
        nvl_add_run_again(need, wanted, false, fix);
        nvl_strv_push(fix, "reboot");
        return;
    case NVL_ORIGIN_ARCHIVE:
        nvl_strv_pushf(fix, "apt install %s", nvl_archive_module(need->installed, wanted));
        nvl_strv_push(fix, "reboot");
        return;
    case NVL_ORIGIN_DEBIAN:
        if (nvl_can_set_up(need->system))
            nvl_choose_driver(need, &c);
        break;
    default:
        break;
    }
    if (c.kind == NVL_CHOICE_PACKAGE && c.flavour == wanted && !c.backports && !c.needs_kernel) {
        nvl_strv_pushf(fix, "apt install %s",
                       wanted == NVL_FLAVOUR_OPEN ? "nvidia-open-kernel-dkms" : "nvidia-kernel-dkms");
        nvl_strv_push(fix, "reboot");
    } else {
        add_another(need, NULL, wanted, fix);
    }
}

static void add_last_branch(const struct nvl_driver_need *need, const struct nvl_generation *g,
                            struct nvl_strv *fix)
{
    nvl_auto(nvl_by_hand_clear) struct nvl_by_hand h = {0};

    nvl_choose_by_hand(need, nvl_need_kernel(need), NULL, &h);
    if (need->installed->origin == NVL_ORIGIN_ARCHIVE)
        add_archive(need, &h, NVL_FLAVOUR_UNKNOWN, fix);
    else if (h.fits && need->installed->origin != NVL_ORIGIN_DISTRIBUTION)
        nvl_add_by_hand(need, &h, fix);
    else
        nvl_strv_pushf(fix,
                       "install a driver of branch %s, the last one for %s, on a kernel that it supports",
                       g->last, g->name);
}

void nvl_advise_gpu(const struct nvl_driver_need *need, const struct nvl_gpu *gpu, enum nvl_gpu_fit fit,
                    const char *version, struct nvl_strv *fix)
{
    const struct nvl_generation *g = nvl_support_generation(need->support, gpu->pci_device);

    if (g == NULL || add_conflict(need, fix))
        return;
    switch (fit) {
    case NVL_GPU_TOO_NEW:
        add_another(need, version, NVL_FLAVOUR_UNKNOWN, fix);
        break;
    case NVL_GPU_TOO_OLD:
        add_last_branch(need, g, fix);
        break;
    case NVL_GPU_NEEDS_OPEN:
        add_other_flavour(need, NVL_FLAVOUR_OPEN, fix);
        break;
    case NVL_GPU_NEEDS_PROPRIETARY:
        add_other_flavour(need, NVL_FLAVOUR_PROPRIETARY, fix);
        break;
    case NVL_GPU_UNKNOWN:
    case NVL_GPU_FITS:
        break;
    }
}
