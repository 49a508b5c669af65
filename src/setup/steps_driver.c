/* The steps of the driver itself: what is in its way, its packages, its module. */
#include "driver/installer_file.h"
#include "driver/package_names.h"
#include "grant/grant.h"
#include "setup/inventory.h"
#include "setup/packages.h"
#include "base/fix.h"
#include "setup/steps_nvidia.h"

/* Our file with the missing lines added; lines that somebody else wrote into it stay. */
static char *blacklist_text(const struct nvl_setup_facts *facts)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf text = {0};

    if (facts->blacklist != NULL)
        nvl_buf_addf(&text, "%s%s", facts->blacklist,
                     facts->blacklist[0] == '\0' || nvl_has_suffix(facts->blacklist, "\n") ? "" : "\n");
    else
        nvl_buf_addf(&text,
                     "# Written by nvlxc host setup: NVIDIA's driver cannot share a GPU with these.\n");
    for (size_t i = 0; i < facts->unwanted.count; i++)
        if (!nvl_strv_contains(&facts->blacklisted, facts->unwanted.items[i]))
            nvl_buf_addf(&text, "blacklist %s\n", facts->unwanted.items[i]);
    /* if something loads it by name all the same, it leaves the GPU alone */
    if (!nvl_strv_contains(&facts->blacklisted, "nouveau"))
        nvl_buf_addf(&text, "options nouveau modeset=0\n");
    return nvl_buf_take(&text);
}

static void add_blacklist(struct nvl_setup *s)
{
    const struct nvl_setup_facts *f = s->facts;
    nvl_autofree char *names = nvl_strv_join(&f->unwanted, ", ");
    bool is_done = f->blacklisted.count == f->unwanted.count;
    struct nvl_setup_step *step = nvl_setup_step_add(
        s->plan, "blacklist", "blacklist of the other drivers", NVL_SETUP_DONE,
        is_done ? nvl_xasprintf("%s %s blacklisted", names, f->unwanted.count > 1 ? "are" : "is")
                : nvl_xasprintf("%s would take the GPU before NVIDIA's driver", names));

    if (!is_done) {
        nvl_autofree char *text = blacklist_text(f);
        step->state = NVL_SETUP_PENDING;
        nvl_setup_step_write(step, NVL_SETUP_BLACKLIST, f->blacklist, text);
    }
}

static char *join_places(const struct nvl_claims *claims)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv places = {0};

    nvl_claims_evidence(claims, &places);
    return nvl_strv_join(&places, "; ");
}

/* Lines from a time when a virtual machine had the GPU: setup edits those of modprobe's. */
static void add_barriers_step(struct nvl_setup *s)
{
    const struct nvl_setup_facts *f = s->facts;
    nvl_autofree char *places = join_places(&f->barriers);

    if (f->barriers.count == 0)
        return;
    struct nvl_setup_step *step = nvl_setup_step_add(
        s->plan, "barriers", "lines that keep NVIDIA's driver away",
        f->n_files > 0 ? NVL_SETUP_PENDING : NVL_SETUP_YOURS,
        nvl_xasprintf(
            "they keep the driver from loading at boot: %s%s", places,
            strstr(places, "/proc/cmdline: ") != NULL
                ? "; remove those on the kernel's command line yourself, in the boot loader's settings"
                : ""));
    for (size_t i = 0; i < f->n_files; i++)
        nvl_setup_step_write(step, f->files[i].path, f->files[i].old_text, f->files[i].new_text);
}

/* If vfio-pci is told to take a GPU at the next boot, setup cannot know whether a virtual machine should have
 * it. */
static void add_claims_step(struct nvl_setup *s)
{
    nvl_autofree char *places = join_places(&s->facts->claims);

    if (s->facts->claims.count > 0)
        nvl_setup_step_add(
            s->plan, "claims", "GPU that vfio-pci is told to take", NVL_SETUP_YOURS,
            nvl_xasprintf("containers have it until the next boot, or until vfio-pci loads first: %s. To "
                          "keep it for containers, remove its id; nvlxc doctor shows the commands",
                          places));
}

/* Whether the driver comes from where the choice takes it. */
static bool is_from_there(const struct nvl_setup *s)
{
    const struct nvl_installed_driver *i = &s->facts->installed;
    const char *series = s->choice->series;

    switch (s->choice->kind) {
    case NVL_CHOICE_RUN:
        return i->origin == NVL_ORIGIN_RUN;
    case NVL_CHOICE_ARCHIVE:
        return i->origin == NVL_ORIGIN_ARCHIVE && i->package_version != NULL;
    case NVL_CHOICE_PACKAGE:
        return i->origin == NVL_ORIGIN_DEBIAN && i->package_version != NULL &&
               (series == NULL ? i->series == NULL : i->series != NULL && strcmp(series, i->series) == 0);
    default:
        return true;
    }
}

static bool is_of_branch(const char *version, const char *branch)
{
    return strncmp(version, branch, strlen(branch)) == 0 && version[strlen(branch)] == '.';
}

/* An installed driver from there that is not the chosen one: from before the kernel, from before backports,
 * of another branch. */
static bool is_outdated(const struct nvl_setup *s)
{
    const struct nvl_installed_driver *i = &s->facts->installed;
    const struct nvl_choice *c = s->choice;

    if (!is_from_there(s) || c->kind == NVL_CHOICE_PRESENT)
        return false;
    bool is_loaded =
        s->facts->loaded.loaded && c->version != NULL && strcmp(s->facts->loaded.version, c->version) == 0;
    enum nvl_flavour flavour = s->facts->loaded.loaded ? s->facts->loaded.flavour : i->flavour;
    if (c->kind == NVL_CHOICE_RUN)
        return strcmp(i->version, c->version) != 0 ||
               (!is_loaded && i->module == NULL && i->dkms_name == NULL) ||
               (c->flavour != NVL_FLAVOUR_UNKNOWN && flavour != NVL_FLAVOUR_UNKNOWN && flavour != c->flavour);
    return (c->branch != NULL && !is_of_branch(nvl_skip_epoch(i->package_version), c->branch)) ||
           c->installed_is_misfit || (c->backports && strstr(i->package_version, "~bpo") == NULL);
}

bool nvl_driver_is_pending(const struct nvl_setup *s)
{
    const struct nvl_choice *c = s->choice;
    const char *loaded = s->facts->loaded.version;

    if (!nvl_choice_installs(c) || !s->facts->loaded.loaded)
        return false;
    if (c->kind == NVL_CHOICE_RUN)
        return strcmp(c->version, loaded) != 0;
    if (is_from_there(s) && !is_outdated(s)) {
        const char *installed = nvl_skip_epoch(s->facts->installed.package_version);
        return strncmp(installed, loaded, strlen(loaded)) != 0 || installed[strlen(loaded)] != '-';
    }
    return c->branch == NULL || !is_of_branch(loaded, c->branch);
}

static char *driver_reason(const struct nvl_setup *s)
{
    const struct nvl_choice *c = s->choice;
    nvl_autofree char *capabilities = nvl_capabilities_format(s->request->capabilities);

    const char *flavour = nvl_flavour_name(c->flavour);
    bool is_compat32 = (s->request->capabilities & NVL_CAP_COMPAT32) != 0;

    if (c->kind == NVL_CHOICE_RUN)
        return nvl_xasprintf("%s%s%s%s. It unloads a driver that no program uses, and loads the new one; "
                             "restart containers that run meanwhile",
                             c->reason, flavour != NULL ? ", " : "", flavour != NULL ? flavour : "",
                             flavour != NULL ? " module" : "");
    return nvl_xasprintf("%s, %s module%s%s%s; without X, with what %s needs%s", c->reason, flavour,
                         c->source != NULL ? " (" : "", c->source != NULL ? c->source : "",
                         c->source != NULL ? ")" : "", capabilities,
                         is_compat32 ? "; add 32-bit libraries yourself (dpkg --add-architecture i386)" : "");
}

static void add_installer(struct nvl_setup *s)
{
    static const char title[] = "driver";
    struct nvl_setup_step *step;

    if (is_from_there(s) && !is_outdated(s)) {
        nvl_setup_step_add(s->plan, "driver", title, NVL_SETUP_DONE,
                           nvl_xasprintf("%s is installed", s->choice->version));
    } else if (nvl_installer_must_wait(s)) {
        nvl_autofree char *file = nvl_shell_word(s->request->wish.installer->path);
        s->plan->needs_reboot = true;
        nvl_setup_step_add(
            s->plan, "driver", title, NVL_SETUP_YOURS,
            nvl_xasprintf("this installer refuses while nouveau has the GPU: reboot first, then: "
                          "nvlxc host setup --run %s",
                          file));
    } else {
        step = nvl_setup_step_add(s->plan, "driver", title, NVL_SETUP_PENDING, driver_reason(s));
        nvl_step_run_installer(s, step);
    }
}

/* Another driver that is in the way of the chosen one. Packages are not removed by setup. */
static void add_other_driver(struct nvl_setup *s)
{
    static const char title[] = "the driver that is there";
    const struct nvl_installed_driver *i = &s->facts->installed;
    struct nvl_setup_step *step;

    if (!nvl_choice_installs(s->choice) || is_from_there(s) ||
        (i->package == NULL && i->origin != NVL_ORIGIN_RUN))
        return;
    if (i->origin == NVL_ORIGIN_RUN) {
        step = nvl_setup_step_add(s->plan, "other-driver", title, NVL_SETUP_PENDING,
                                  nvl_xasprintf("driver %s of NVIDIA's installer would be in the way of the "
                                                "packages: its own program removes it",
                                                i->version));
        nvl_setup_step_command(step, "nvidia-uninstall", "--silent", NULL);
        step->on_failure = "/var/log/nvidia-uninstall.log has the error";
        return;
    }
    step = nvl_setup_step_add(s->plan, "other-driver", title, NVL_SETUP_IMPOSSIBLE,
                              nvl_xasprintf("%s %s is installed, and setup removes no packages", i->package,
                                            i->package_version != NULL ? i->package_version : ""));
    nvl_purge_names(i, nvl_setup_step_command(step, "apt-get", "purge", NULL));
    step->on_failure =
        "remove it with the plan's command (--dry-run shows it), look at what apt lists before you "
        "agree, then run host setup again";
}

/* dkms would build for a kernel on which the driver does not build, and its package would fail. */
static void add_blocked(struct nvl_setup *s, const char *title)
{
    struct nvl_system like = s->facts->system;
    like.kernel = s->choice->blocked_by;
    nvl_autofree char *headers = nvl_headers_package(&like);
    struct nvl_setup_step *step = nvl_setup_step_add(
        s->plan, "driver", title, NVL_SETUP_IMPOSSIBLE,
        nvl_xasprintf("the headers of kernel %s are installed, but driver %s does not build "
                      "on it: its package would fail. Remove them first; what brings that "
                      "kernel's headers with each upgrade goes with them",
                      s->choice->blocked_by, s->choice->branch));

    if (headers != NULL)
        nvl_setup_step_command(step, "apt-get", "remove", headers, NULL);
    step->on_failure = headers != NULL
                           ? "remove them with the plan's command (--dry-run shows it), then run host "
                             "setup again"
                           : "remove the headers of that kernel, then run host setup again";
}

static void add_driver(struct nvl_setup *s)
{
    static const char title[] = "driver";
    const struct nvl_choice *c = s->choice;
    nvl_auto(nvl_strv_clear) struct nvl_strv packages = {0};
    struct nvl_setup_step *step;

    if (c->kind == NVL_CHOICE_NONE) {
        nvl_autofree char *hint = nvl_fix_in_line(c->hint);
        step = nvl_setup_step_add(s->plan, "driver", title, NVL_SETUP_IMPOSSIBLE,
                                  nvl_xasprintf("%s; %s", c->problem, hint));
        return;
    }
    if (c->kind == NVL_CHOICE_PRESENT) {
        nvl_setup_step_add(s->plan, "driver", title, NVL_SETUP_NOT_NEEDED, nvl_xstrdup(c->reason));
        return;
    }
    if (c->kind == NVL_CHOICE_RUN) {
        add_installer(s);
        return;
    }
    bool is_old = is_outdated(s);
    if (!is_old)
        nvl_missing_packages(s->facts, s->driver, &packages);
    if (!is_old && packages.count == 0) {
        nvl_setup_step_add(s->plan, "driver", title, NVL_SETUP_DONE,
                           nvl_xasprintf("%s is installed, with everything that was asked for",
                                         s->facts->installed.package_version));
        return;
    }
    nvl_autofree char *module = nvl_debian_module(c->flavour, c->series);
    if (c->blocked_by != NULL && (is_old || nvl_strv_contains(&packages, module))) {
        add_blocked(s, title);
        return;
    }
    step = nvl_setup_step_add(s->plan, "driver", title, NVL_SETUP_PENDING, driver_reason(s));
    nvl_setup_step_install(step, is_old ? s->driver : &packages,
                           "if the module did not build, /var/lib/dkms/*/*/build/make.log has the error, and "
                           "nvlxc doctor explains it");
}

static bool module_is_built(const struct nvl_setup *s)
{
    const struct nvl_installed_driver *i = &s->facts->installed;

    return nvl_strv_contains(&i->kernels, s->choice->kernel) ||
           (strcmp(s->choice->kernel, s->facts->system.kernel) == 0 && i->module != NULL);
}

static void add_module(struct nvl_setup *s)
{
    static const char title[] = "kernel module";
    const char *kernel = s->choice->kernel;

    if (s->choice->kind == NVL_CHOICE_NONE)
        return;
    if (s->facts->loaded.loaded && !s->choice->needs_kernel && !nvl_driver_is_pending(s)) {
        nvl_setup_step_add(s->plan, "module", title, NVL_SETUP_DONE,
                           nvl_xasprintf("driver %s is loaded", s->facts->loaded.version));
    } else if (module_is_built(s)) {
        nvl_setup_step_add(s->plan, "module", title, NVL_SETUP_DONE,
                           nvl_xasprintf("built for kernel %s", kernel));
    } else if (s->choice->kind == NVL_CHOICE_RUN && (!is_from_there(s) || is_outdated(s))) {
        nvl_setup_step_add(s->plan, "module", title, NVL_SETUP_NOT_NEEDED,
                           nvl_xasprintf("the installer builds it, and has dkms build it for later kernels"));
    } else {
        struct nvl_setup_step *step = nvl_setup_step_add(
            s->plan, "module", title, NVL_SETUP_PENDING,
            s->choice->kind == NVL_CHOICE_PRESENT
                ? nvl_xasprintf("kernel %s has none, and dkms has its source", kernel)
                : nvl_xasprintf(
                      "the driver's packages build it if they find headers; this builds what is missing"));
        nvl_setup_step_command(step, "dkms", "autoinstall", "-k", kernel, NULL);
        step->on_failure = "/var/lib/dkms/*/*/build/make.log has the error, and nvlxc doctor explains it";
    }
}

static void add_initramfs(struct nvl_setup *s)
{
    static const char title[] = "initial RAM disk";
    const struct nvl_setup_step *blacklist = nvl_setup_find(s->plan, "blacklist");
    const struct nvl_setup_step *barriers = nvl_setup_find(s->plan, "barriers");
    bool is_pending =
        blacklist->state == NVL_SETUP_PENDING || (barriers != NULL && barriers->state == NVL_SETUP_PENDING);
    struct nvl_setup_step *step;

    if (!s->facts->has_initramfs) {
        nvl_setup_step_add(s->plan, "initramfs", title, NVL_SETUP_NOT_NEEDED,
                           nvl_xasprintf("this host does not boot with one from update-initramfs"));
    } else if (!is_pending && !s->facts->initramfs_is_old) {
        nvl_setup_step_add(s->plan, "initramfs", title, NVL_SETUP_DONE,
                           nvl_xasprintf("made after /etc/modprobe.d was changed"));
    } else {
        step = nvl_setup_step_add(
            s->plan, "initramfs", title, NVL_SETUP_PENDING,
            nvl_xasprintf("it loads drivers by its own copy of /etc/modprobe.d, without the changes"));
        nvl_setup_step_command(step, "update-initramfs", "-u", "-k", "all", NULL);
    }
}

void nvl_steps_driver(struct nvl_setup *s)
{
    add_blacklist(s);
    add_barriers_step(s);
    add_claims_step(s);
    add_other_driver(s);
    nvl_step_branch(s);
    add_driver(s);
    add_module(s);
    add_initramfs(s);
}
