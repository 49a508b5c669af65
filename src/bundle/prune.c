/* Bundles removed, but never one that a container has or will need. */
#include "bundle/prune.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/paths.h"
#include "base/folder.h"
#include "bundle/list.h"
#include "bundle/mounted_by.h"
#include "bundle/store.h"
#include "host/userspace.h"

/* The host as it is now, not as it was when the list was made. */
static int refuse_needed(const struct nvl_root *root, const char *version, struct nvl_error *err)
{
    nvl_auto(nvl_userspace_clear) struct nvl_userspace us = {0};
    struct nvl_driver_version loaded;

    int r = nvl_driver_version_read(root, &loaded, err);
    if (r == 0)
        r = nvl_userspace_read(root, &us, err);
    if (r < 0)
        return nvl_error_prefix(err, "the driver bundle %s is kept", version);
    if (loaded.loaded && strcmp(loaded.version, version) == 0)
        return nvl_error_set(err, -EBUSY, "the driver bundle %s is kept: that driver is loaded", version);
    if (loaded.loaded && loaded.version[0] == '\0')
        return nvl_error_set(
            err, -EBUSY, "the driver bundle %s is kept: the loaded driver does not say its version", version);
    if (nvl_version_is_pending(version, &loaded, &us))
        return nvl_error_set(err, -EBUSY,
                             "the driver bundle %s is kept: that driver is installed, and the next boot's",
                             version);
    size_t users = nvl_bundle_users(root, version);
    if (users > 0) {
        nvl_error_set(err, -EBUSY, "the driver bundle %s is kept: %zu running container%s %s it", version,
                      users, users > 1 ? "s" : "", users > 1 ? "have" : "has");
        nvl_error_hint(err, "restart %s; then: nvlxc driver prune", users > 1 ? "them" : "it");
        return -EBUSY;
    }
    return 0;
}

/* Renamed first, so that no half of it bears its name. */
static int remove_folder(int store, const char *version)
{
    nvl_autofree char *temporary = nvl_store_temporary_name(version);

    if (renameat(store, version, store, temporary) < 0)
        return -errno;
    return nvl_folder_remove(store, temporary);
}

int nvl_bundle_remove(const struct nvl_root *root, const struct nvl_bundle *bundle, struct nvl_error *err)
{
    nvl_autofd int store = -1, lock = -1;

    if (!nvl_is_version(bundle->version, strlen(bundle->version)))
        return nvl_error_set(err, -EINVAL, "'%s' is not a driver version", bundle->version);
    int r = nvl_store_open(root, NVL_STORE_WAIT_MS, &store, &lock, err);
    if (r == 0)
        r = refuse_needed(root, bundle->version, err);
    if (r < 0)
        return r;
    r = remove_folder(store, bundle->version);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot remove the driver bundle %s%s/%s", root->name, NVL_BUNDLE_DIR,
                               bundle->version);
    return 0;
}
