/* The steps of the driver itself: what is in its way, its packages, its module. */
#include "grant/grant.h"
#include "setup/inventory.h"
#include "setup/packages.h"

static bool is_main_driver(const char *package)
{
    return strcmp(package, "nvidia-kernel-dkms") == 0 || strcmp(package, "nvidia-open-kernel-dkms") == 0;
}

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

/* A package of the driver that is older than the one that fits: from before the kernel, or from before
 * backports. */
static bool is_outdated(const struct nvl_setup *s)
{
    const struct nvl_installed_driver *i = &s->facts->installed;
    size_t len = strlen(s->choice->branch);

    if (i->package == NULL || !is_main_driver(i->package) || i->package_version == NULL)
        return false;
    return strncmp(i->package_version, s->choice->branch, len) != 0 || i->package_version[len] != '.' ||
           (s->choice->backports && strstr(i->package_version, "~bpo") == NULL);
}

bool nvl_driver_is_pending(const struct nvl_setup *s)
{
    const struct nvl_installed_driver *i = &s->facts->installed;
    const char *loaded = s->facts->loaded.version;
    size_t len = strlen(loaded);

    if (s->choice->kind != NVL_CHOICE_PACKAGE || !s->facts->loaded.loaded || i->package_version == NULL)
        return false;
    return strncmp(i->package_version, loaded, len) != 0 || i->package_version[len] != '-' ||
           (is_outdated(s) && strncmp(loaded, s->choice->branch, strlen(s->choice->branch)) != 0);
}

static char *driver_reason(const struct nvl_setup *s)
{
    const struct nvl_choice *c = s->choice;
    nvl_autofree char *capabilities = nvl_capabilities_format(s->capabilities);

    return nvl_xasprintf("%s, %s module (%s); without X, with what %s needs%s", c->reason,
                         nvl_flavour_name(c->flavour), c->source, capabilities,
                         (s->capabilities & NVL_CAP_COMPAT32) != 0
                             ? "; add 32-bit libraries yourself (dpkg --add-architecture i386)"
                             : "");
}

static void add_driver(struct nvl_setup *s)
{
    static const char title[] = "driver";
    const struct nvl_choice *c = s->choice;
    nvl_auto(nvl_strv_clear) struct nvl_strv packages = {0};
    struct nvl_setup_step *step;

    if (c->kind == NVL_CHOICE_NONE) {
        step = nvl_setup_step_add(s->plan, "driver", title, NVL_SETUP_IMPOSSIBLE,
                                  nvl_xasprintf("%s; %s", c->problem, c->hint));
        return;
    }
    if (c->kind == NVL_CHOICE_PRESENT) {
        nvl_setup_step_add(s->plan, "driver", title, NVL_SETUP_NOT_NEEDED, nvl_xstrdup(c->reason));
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
    if (c->blocked_by != NULL) {
        step = nvl_setup_step_add(s->plan, "driver", title, NVL_SETUP_IMPOSSIBLE,
                                  nvl_xasprintf("the headers of kernel %s are installed, but driver %s does "
                                                "not build on it: its package would fail",
                                                c->blocked_by, c->branch));
        step->on_failure = "remove the headers of that kernel (apt-get remove), and run it again";
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
    } else {
        struct nvl_setup_step *step = nvl_setup_step_add(
            s->plan, "module", title, NVL_SETUP_PENDING,
            nvl_xasprintf(
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
                           nvl_xasprintf("made after the blacklist was written"));
    } else {
        step = nvl_setup_step_add(s->plan, "initramfs", title, NVL_SETUP_PENDING,
                                  nvl_xasprintf("it loads the other drivers before the blacklist is read"));
        nvl_setup_step_command(step, "update-initramfs", "-u", "-k", "all", NULL);
    }
}

void nvl_steps_driver(struct nvl_setup *s)
{
    add_blacklist(s);
    add_barriers_step(s);
    add_claims_step(s);
    add_driver(s);
    add_module(s);
    add_initramfs(s);
}
