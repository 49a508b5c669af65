/* The steps of NVIDIA's own drivers: its archive for apt, and its installer, NVIDIA-Linux-*.run. */
#include "setup/steps_nvidia.h"

#include "base/machine.h"
#include "driver/installer_file.h"
#include "driver/run_file.h"
#include "grant/grant.h"
#include "setup/inventory.h"
#include "setup/packages.h"

/* ---- the archive ---- */

/* Source: NVIDIA's driver installation guide, "Network repository". */
static char *archive_uri(const struct nvl_setup_facts *f)
{
    return nvl_xasprintf("https://" NVL_NVIDIAS_HOST "/compute/cuda/repos/debian%s/%s/", f->system.version_id,
                         nvl_machine()->archive);
}

#define ARCHIVE_KEY_NEW NVL_SOURCES_ARCHIVE_KEY ".new"

/* The key first: a source without its key would fail every later update. */
static void add_key(struct nvl_setup *s, const char *uri)
{
    struct nvl_setup_step *step = nvl_setup_step_add(
        s->plan, "archive-key", "key of NVIDIA's archive",
        s->facts->has_archive_key ? NVL_SETUP_DONE : NVL_SETUP_PENDING,
        nvl_xasprintf("%s", s->facts->has_archive_key ? NVL_SOURCES_ARCHIVE_KEY " is there"
                                                      : "apt trusts this archive alone by it"));

    if (s->facts->has_archive_key)
        return;
    nvl_autofree char *key = nvl_xasprintf("%s3bf863cc.pub", uri);
    /* apt-helper writes in place: a part of the key would look like the key */
    nvl_setup_step_command(step, "/usr/lib/apt/apt-helper", "download-file", key, ARCHIVE_KEY_NEW, NULL);
    nvl_setup_step_command(step, "mv", "-T", ARCHIVE_KEY_NEW, NVL_SOURCES_ARCHIVE_KEY, NULL);
    step->on_failure = "the machine needs https to " NVL_NVIDIAS_HOST " (and the package ca-certificates)";
}

void nvl_step_archive(struct nvl_setup *s)
{
    const char *there = nvl_sources_find_nvidias(&s->facts->sources);
    nvl_autofree char *uri = archive_uri(s->facts);

    if (s->choice->kind != NVL_CHOICE_ARCHIVE)
        return;
    bool is_ours = there == NULL || strcmp(there, NVL_SOURCES_ARCHIVE) == 0;
    if (is_ours)
        add_key(s, uri);
    struct nvl_setup_step *step = nvl_setup_step_add(
        s->plan, "archive", "NVIDIA's archive", NVL_SETUP_DONE,
        is_ours ? nvl_xasprintf("the driver comes from there, and nothing else does before "
                                "Debian's")
                : nvl_xasprintf("%s names it", there));
    nvl_autofree char *source =
        nvl_xasprintf("# Written by nvlxc host setup.\nTypes: deb\nURIs: %s\nSuites: /\nSigned-By: %s\n", uri,
                      NVL_SOURCES_ARCHIVE_KEY);
    static const char pin[] =
        "Explanation: Written by nvlxc host setup: the driver comes from NVIDIA's archive.\n"
        "Package: *nvidia* libcuda1 libcudadebugger1 libnvcuvid1 libnvoptix1 libxnvctrl0\n"
        "Pin: origin " NVL_NVIDIAS_HOST "\nPin-Priority: 600\n";
    bool is_todo =
        is_ours && nvl_setup_step_write(step, NVL_SOURCES_ARCHIVE, s->facts->archive_source, source);
    is_todo = nvl_setup_step_write(step, NVL_SOURCES_ARCHIVE_PIN, s->facts->archive_pin, pin) || is_todo;
    if (is_todo)
        step->state = NVL_SETUP_PENDING;
}

/* NVIDIA's packages that keep apt on one branch. Source: the same guide, "Version locking". */
void nvl_step_branch(struct nvl_setup *s)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv package = {0}, missing = {0};

    if (s->choice->kind != NVL_CHOICE_ARCHIVE || s->choice->branch == NULL)
        return;
    nvl_strv_pushf(&package, "nvidia-driver-pinning-%s", s->choice->branch);
    nvl_missing_packages(s->facts, &package, &missing);
    struct nvl_setup_step *step = nvl_setup_step_add(
        s->plan, "branch", "branch of the driver", missing.count > 0 ? NVL_SETUP_PENDING : NVL_SETUP_DONE,
        nvl_xasprintf("%s is the last branch that supports the GPU: apt must not leave it",
                      s->choice->branch));
    if (missing.count > 0)
        nvl_setup_step_install(step, &package,
                               "apt-cache search nvidia-driver-pinning names the branches that "
                               "the archive has");
}

/* ---- the installer ---- */

static bool needs_desktop_parts(const struct nvl_setup *s)
{
    return s->facts->has_x || (s->request->capabilities & (NVL_CAP_GRAPHICS | NVL_CAP_DISPLAY)) != 0;
}

/* Versions from which on the installer has an option. Source: option_table.h of nvidia-installer's releases.
 */
#define HAS_RUNNING_OPTION   "545.23.06"
#define HAS_SKIP_LOAD_OPTION "550.40.07"

static bool is_from(const char *version, const char *first)
{
    return nvl_version_compare(version, first) >= 0;
}

bool nvl_installer_must_wait(const struct nvl_setup *s)
{
    return s->choice->kind == NVL_CHOICE_RUN && s->facts->modules.nouveau &&
           !is_from(s->choice->version, HAS_SKIP_LOAD_OPTION);
}

void nvl_step_run_installer(struct nvl_setup *s, struct nvl_setup_step *step)
{
    const char *version = s->choice->version;
    const char *flavour = nvl_run_flavour_option(version, s->choice->flavour);
    struct nvl_strv *argv =
        nvl_setup_step_command(step, "sh", s->request->wish.installer->path, "--silent", "--dkms", NULL);

    if (flavour[0] != '\0')
        nvl_strv_push(argv, flavour + 1); /* after its blank */
    if ((s->request->capabilities & NVL_CAP_COMPAT32) == 0)
        nvl_strv_push(argv, "--no-install-compat32-libs");
    if (!needs_desktop_parts(s))
        nvl_strv_push(argv, "--no-opengl-files");
    if (s->facts->loaded.loaded && is_from(version, HAS_RUNNING_OPTION))
        nvl_strv_push(argv, "--allow-installation-with-running-driver");
    if (s->facts->modules.nouveau) {
        nvl_strv_push(argv, "--no-nouveau-check");
        nvl_strv_push(argv, "--skip-module-load");
    }
    step->on_failure =
        "/var/log/nvidia-installer.log has the error; if it says that the driver is in use, stop "
        "the containers that 'nvlxc ps' names";
}
