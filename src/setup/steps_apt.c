/* The steps that prepare apt: components, backports, lists, a kernel that a driver fits, headers. */
#include "setup/inventory.h"
#include "setup/packages.h"
#include "setup/steps_nvidia.h"

static const char needed_components[] = "contrib non-free non-free-firmware";
static const char apt_failed[] = "fix what apt reports; an archive that refuses (Proxmox's enterprise "
                                 "archive without a subscription) can be disabled in /etc/apt/sources.list.d";

/* Whether Debian's archive has the driver. */
static bool comes_from_debian(const struct nvl_setup *s)
{
    return s->choice->kind == NVL_CHOICE_PACKAGE;
}

static void add_components(struct nvl_setup *s)
{
    const char *codename = s->facts->system.codename;
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
    struct nvl_setup_step *step;

    if (!comes_from_debian(s)) {
        nvl_setup_step_add(s->plan, "components", "archive components", NVL_SETUP_NOT_NEEDED,
                           nvl_xasprintf("setup installs none of Debian's packages of the driver"));
        return;
    }
    if (nvl_sources_find(&s->facts->sources, codename) == NULL) {
        step = nvl_setup_step_add(s->plan, "components", "archive components", NVL_SETUP_IMPOSSIBLE,
                                  nvl_xasprintf("apt's sources name no archive of Debian %s", codename));
        step->on_failure = "add Debian's archive to /etc/apt/sources.list.d";
        return;
    }
    step = nvl_setup_step_add(s->plan, "components", "archive components", NVL_SETUP_DONE, NULL);
    nvl_strv_split(&words, needed_components, " ");
    nvl_sources_add_components(&s->facts->sources, codename, s->choice->backports, &words, &step->edits,
                               &step->n_edits);
    if (step->n_edits > 0) {
        step->state = NVL_SETUP_PENDING;
        step->reason = nvl_xasprintf("the driver is in non-free, what it needs in contrib");
    } else {
        step->reason = nvl_xasprintf("Debian's entries have %s", needed_components);
    }
}

/* Takes only the driver from backports: everything else there keeps apt's priority of 100. */
static char *pin_text(const char *codename)
{
    return nvl_xasprintf(
        "Explanation: Written by nvlxc host setup: only the driver comes from backports.\nPackage: "
        "src:nvidia-graphics-drivers src:nvidia-open-gpu-kernel-modules\nPin: release "
        "n=%s-backports\nPin-Priority: 500\n",
        codename);
}

static void add_backports(struct nvl_setup *s)
{
    const char *codename = s->facts->system.codename;
    nvl_autofree char *suite = nvl_xasprintf("%s-backports", codename), *pin = pin_text(codename);
    const struct nvl_source *debian = nvl_sources_find(&s->facts->sources, codename);

    if (!comes_from_debian(s) || !s->choice->backports || debian == NULL) {
        nvl_setup_step_add(s->plan, "backports", "backports, for the driver only", NVL_SETUP_NOT_NEEDED,
                           comes_from_debian(s)
                               ? nvl_xasprintf("the driver comes from %s", codename)
                               : nvl_xasprintf("setup installs none of Debian's packages of the driver"));
        return;
    }
    struct nvl_setup_step *step =
        nvl_setup_step_add(s->plan, "backports", "backports, for the driver only", NVL_SETUP_DONE,
                           nvl_xasprintf("the driver for kernel %s is in %s", s->choice->kernel, suite));
    bool is_todo = false;
    if (nvl_sources_find(&s->facts->sources, suite) == NULL) {
        nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};
        nvl_strv_split(&words, needed_components, " ");
        nvl_autofree char *text = nvl_sources_backports(debian, codename, &words);
        is_todo = nvl_setup_step_write(step, NVL_SOURCES_BACKPORTS, s->facts->backports, text);
    }
    is_todo = nvl_setup_step_write(step, NVL_SOURCES_PIN, s->facts->pin, pin) || is_todo;
    if (is_todo)
        step->state = NVL_SETUP_PENDING;
}

/* If something is to be installed, from lists that may be old or are about to change. */
static void add_update(struct nvl_setup *s)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv packages = {0};

    nvl_missing_packages(s->facts, s->tools, &packages);
    nvl_missing_packages(s->facts, s->headers, &packages);
    nvl_missing_packages(s->facts, s->driver, &packages);
    for (size_t i = 0; i < s->plan->count; i++)
        if (s->plan->steps[i].state == NVL_SETUP_PENDING)
            nvl_strv_push(&packages, s->plan->steps[i].id);
    if (packages.count == 0) {
        nvl_setup_step_add(s->plan, "update", "apt's lists", NVL_SETUP_NOT_NEEDED,
                           nvl_xasprintf("there is nothing to install"));
        return;
    }
    struct nvl_setup_step *step = nvl_setup_step_add(s->plan, "update", "apt's lists", NVL_SETUP_PENDING,
                                                     nvl_xasprintf("apt learns what its sources have now"));
    nvl_setup_step_command(step, "apt-get", "update", NULL);
    step->leaves_no_trace = true;
    step->on_failure = apt_failed;
}

/* It may have been setup's own apt that was killed. */
static void add_dpkg(struct nvl_setup *s)
{
    if (!s->facts->dpkg_is_interrupted)
        return;
    struct nvl_setup_step *step = nvl_setup_step_add(
        s->plan, "dpkg", "interrupted installation", NVL_SETUP_PENDING,
        nvl_xasprintf("dpkg was interrupted: apt installs nothing before it has finished"));
    nvl_setup_step_command(step, "dpkg", "--configure", "-a", NULL);
}

static void add_kernel(struct nvl_setup *s)
{
    const struct nvl_choice *c = s->choice;
    nvl_auto(nvl_strv_clear) struct nvl_strv packages = {0};

    if (!c->needs_kernel || c->kernel_package == NULL)
        return;
    struct nvl_setup_step *step = nvl_setup_step_add(s->plan, "kernel", "a kernel that the driver fits",
                                                     NVL_SETUP_PENDING, nvl_xstrdup(c->reason));
    nvl_strv_push(&packages, c->kernel_package);
    nvl_setup_step_install(step, &packages, apt_failed);
}

static void add_tools(struct nvl_setup *s)
{
    static const char title[] = "build tools";
    nvl_auto(nvl_strv_clear) struct nvl_strv packages = {0};

    if (s->tools->count == 0)
        return;
    nvl_missing_packages(s->facts, s->tools, &packages);
    if (packages.count == 0) {
        nvl_setup_step_add(s->plan, "tools", title, NVL_SETUP_DONE, nvl_xasprintf("they are installed"));
        return;
    }
    struct nvl_setup_step *step =
        nvl_setup_step_add(s->plan, "tools", title, NVL_SETUP_PENDING,
                           nvl_xasprintf("NVIDIA's installer builds the module with them"));
    nvl_setup_step_install(step, &packages, apt_failed);
}

static void add_headers(struct nvl_setup *s)
{
    static const char no_headers[] = "if the archive no longer has the headers of this kernel: upgrade the "
                                     "kernel (apt-get dist-upgrade), reboot, and run it again";
    static const char title[] = "kernel headers";
    const char *kernel = s->choice->kernel;
    nvl_auto(nvl_strv_clear) struct nvl_strv packages = {0};

    if (!s->builds) {
        nvl_setup_step_add(s->plan, "headers", title, NVL_SETUP_NOT_NEEDED,
                           nvl_xasprintf("setup builds no module"));
        return;
    }
    bool is_running = strcmp(kernel, s->facts->system.kernel) == 0;
    nvl_missing_packages(s->facts, s->headers, &packages);
    if (s->headers->count == 0 && !(is_running && s->facts->installed.has_headers)) {
        struct nvl_setup_step *step =
            nvl_setup_step_add(s->plan, "headers", title, NVL_SETUP_IMPOSSIBLE,
                               nvl_xasprintf("kernel %s is neither Debian's nor Proxmox's, and "
                                             "/lib/modules/%s/build does not have its headers",
                                             kernel, kernel));
        step->on_failure = "install the headers that belong to it, or boot a kernel of the distribution";
    } else if (packages.count == 0) {
        nvl_setup_step_add(s->plan, "headers", title, NVL_SETUP_DONE,
                           nvl_xasprintf("headers of kernel %s are installed%s", kernel,
                                         s->headers->count > 0 ? ", and later kernels bring theirs" : ""));
    } else {
        struct nvl_setup_step *step = nvl_setup_step_add(
            s->plan, "headers", title, NVL_SETUP_PENDING,
            nvl_xasprintf("dkms builds the module for kernel %s, and again for each new kernel", kernel));
        nvl_setup_step_install(step, &packages, no_headers);
    }
}

void nvl_steps_apt(struct nvl_setup *s)
{
    add_components(s);
    add_backports(s);
    nvl_step_archive(s);
    add_update(s);
    add_dpkg(s);
    add_kernel(s);
    add_tools(s);
    add_headers(s);
}
