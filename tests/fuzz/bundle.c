/* A host's driver files, the names of which decide what a bundle gets, with NVIDIA's own list of them, and
 * where they came from: a tree. */
#include "fuzz.h"

#include "bundle/list.h"
#include "bundle/manifest.h"
#include "bundle/select.h"
#include "driver/origin.h"
#include "host/system.h"
#include "host/userspace.h"

static void check_selection(const struct nvl_userspace *us, const char *version)
{
    nvl_auto(nvl_manifest_clear) struct nvl_manifest known = {0}, chosen = {0};
    nvl_auto(nvl_selection_clear) struct nvl_selection selection = {0};

    if (nvl_select_files(fuzz_root(), us, version, &known, &chosen, &selection, NULL) < 0)
        return;
    for (size_t i = 0; i < chosen.n_files; i++)
        CHECK(chosen.files[i].path[0] != '/' && strstr(chosen.files[i].path, "..") == NULL);
    nvl_manifest_link_sonames(&chosen);
}

static void check_installed(const struct nvl_userspace *us, const struct nvl_driver_version *loaded)
{
    nvl_auto(nvl_system_clear) struct nvl_system system = {0};
    nvl_auto(nvl_installed_driver_clear) struct nvl_installed_driver installed = {0}, glance = {0};
    nvl_auto(nvl_bundles_clear) struct nvl_bundles bundles = {0};

    nvl_system_read(fuzz_root(), &system, NULL);
    nvl_installed_driver_read(fuzz_root(), &system, us, loaded, &installed);
    nvl_installed_driver_glance(fuzz_root(), &system, us, loaded, &glance);
    CHECK(installed.version[0] == '\0' || nvl_is_version(installed.version, strlen(installed.version)));
    nvl_bundles_list(fuzz_root(), loaded, us, &bundles, NULL);
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};
    struct nvl_driver_version loaded = {0};

    fuzz_tree(&in);
    nvl_driver_version_read(fuzz_root(), &loaded, NULL);
    if (nvl_userspace_read(fuzz_root(), &us, NULL) == 0) {
        for (size_t i = 0; i < us.n_dirs; i++)
            CHECK(nvl_is_version(us.dirs[i].version, strlen(us.dirs[i].version)));
        for (size_t i = 0; i < us.versions.count && i < 3; i++)
            check_selection(&us, us.versions.items[i]);
    }
    check_installed(&us, &loaded);
    fuzz_clear();
}
