/* The existing bundles, what each is good for now, and which containers have it; and their removal, but never
 * of one that a container has or will need. */
#include "bundle/list.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/paths.h"
#include "bundle/manifest.h"
#include "bundle/store.h"
#include "host/userspace.h"

#define MOUNTINFO_MAX (16u << 20)

bool nvl_version_is_pending(const char *version, const struct nvl_driver_version *loaded,
                            const struct nvl_userspace *us)
{
    if (loaded->loaded)
        return strcmp(version, loaded->version) != 0 && nvl_strv_contains(&us->versions, version);
    return us->versions.count > 0 && strcmp(version, us->versions.items[0]) == 0;
}

static int newest_bundle_first(const void *a, const void *b)
{
    return -nvl_version_compare(((const struct nvl_bundle *)a)->version,
                                ((const struct nvl_bundle *)b)->version);
}

static void read_bundle_manifest(const struct nvl_root *root, struct nvl_bundle *bundle)
{
    bundle->manifest = nvl_xcalloc(1, sizeof *bundle->manifest);
    bundle->unreadable = nvl_manifest_read(root, bundle->version, bundle->manifest);
    bundle->complete = bundle->unreadable == 0;
    bundle->n_files = bundle->manifest->n_files;
    bundle->bytes = nvl_manifest_bytes(bundle->manifest);
}

static void describe_bundle(const struct nvl_root *root, const struct nvl_driver_version *loaded,
                            const struct nvl_userspace *us, struct nvl_bundle *bundle)
{
    read_bundle_manifest(root, bundle);
    bundle->loaded = loaded->loaded && strcmp(loaded->version, bundle->version) == 0;
    bundle->pending = nvl_version_is_pending(bundle->version, loaded, us);
}

int nvl_bundles_list(const struct nvl_root *root, const struct nvl_driver_version *loaded,
                     const struct nvl_userspace *us, struct nvl_bundles *bundles, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};

    *bundles = (struct nvl_bundles){0};
    int r = nvl_root_list(root, NVL_BUNDLE_DIR, &names);
    if (r < 0 && r != -ENOENT)
        return nvl_error_errno(err, r, "cannot read %s%s", root->name, NVL_BUNDLE_DIR);
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i];
        if (!nvl_is_version(name, strlen(name)) || strlen(name) >= NVL_VERSION_MAX)
            continue;
        struct nvl_bundle *bundle = NVL_APPEND(bundles->items, bundles->count);
        nvl_copy(bundle->version, sizeof bundle->version, name, strlen(name));
        describe_bundle(root, loaded, us, bundle);
    }
    if (bundles->count > 1)
        qsort(bundles->items, bundles->count, sizeof *bundles->items, newest_bundle_first);
    return 0;
}

/* The n-th field of a line, from 0; blanks separate fields. */
static bool mount_field(const char *line, size_t len, size_t n, const char **start, size_t *field_len)
{
    const char *end = line + len, *at = line;

    for (;; n--) {
        const char *blank = memchr(at, ' ', (size_t)(end - at));
        if (n == 0) {
            *start = at;
            *field_len = (size_t)((blank != NULL ? blank : end) - at);
            return true;
        }
        if (blank == NULL)
            return false;
        at = blank + 1;
    }
}

static bool ends_in(const char *s, size_t len, const char *suffix)
{
    size_t n = strlen(suffix);

    return len >= n && memcmp(s + len - n, suffix, n) == 0;
}

/* "36 35 98:0 /var/lib/nvlxc/driver/550.163.01 /usr/local/nvidia ro …": if /var is a separate file system,
 * the first path is shorter; while a container is being set up, the second one is longer, and where the
 * container's /usr/local is a link or cannot hold it, only its last component is the same. */
static bool has_mount(const char *text, size_t len, const char *version)
{
    nvl_autofree char *bundle = nvl_xasprintf("/nvlxc/driver/%s", version);
    const char *line, *source, *target;
    size_t pos = 0, line_len, source_len, target_len;

    while (nvl_next_line(text, len, &pos, &line, &line_len))
        if (mount_field(line, line_len, 3, &source, &source_len) &&
            mount_field(line, line_len, 4, &target, &target_len) && ends_in(source, source_len, bundle) &&
            ends_in(target, target_len, strrchr(NVL_MOUNT_POINT, '/')))
            return true;
    return false;
}

static bool begins_with_digit(const char *name)
{
    return isdigit((unsigned char)name[0]) != 0;
}

/* "mnt:[4026531841]"; the process's own number if the link cannot be read. */
static char *namespace_of(const struct nvl_root *root, const char *pid, const char *kind)
{
    nvl_autofree char *path = nvl_xasprintf("/proc/%s/ns/%s", pid, kind);
    char *text;

    return nvl_root_readlink(root, path, &text) == 0 ? text : NULL;
}

/* The containers that have the bundle of this version mounted: process namespaces with such a mount in one of
 * their mount namespaces, so that services with their own mount namespace do not count again. A container's
 * mounts show nowhere else. Sources: /proc/PID/mountinfo (proc(5)), /proc/PID/ns. */
static size_t count_users(const struct nvl_root *root, const char *version)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0}, seen = {0}, users = {0};

    if (nvl_root_list(root, "/proc", &names) < 0)
        return 0;
    for (size_t i = 0; i < names.count; i++) {
        const char *pid = names.items[i];
        if (!begins_with_digit(pid))
            continue;
        nvl_autofree char *mounts = namespace_of(root, pid, "mnt");
        if (mounts != NULL && nvl_strv_contains(&seen, mounts))
            continue;
        nvl_autofree char *path = nvl_xasprintf("/proc/%s/mountinfo", pid), *text = NULL;
        size_t len;
        if (nvl_root_read(root, path, MOUNTINFO_MAX, &text, &len) < 0)
            continue; /* it has ended */
        if (mounts != NULL)
            nvl_strv_push(&seen, mounts);
        if (!has_mount(text, len, version))
            continue;
        nvl_autofree char *processes = namespace_of(root, pid, "pid");
        const char *user = processes != NULL ? processes : mounts != NULL ? mounts : pid;
        nvl_strv_push_once(&users, user);
    }
    return users.count;
}

void nvl_bundles_count_users(const struct nvl_root *root, struct nvl_bundles *bundles)
{
    for (size_t i = 0; i < bundles->count; i++)
        bundles->items[i].in_use = count_users(root, bundles->items[i].version);
}

void nvl_bundles_clear(struct nvl_bundles *bundles)
{
    for (size_t i = 0; i < bundles->count; i++) {
        nvl_manifest_clear(bundles->items[i].manifest);
        free(bundles->items[i].manifest);
    }
    free(bundles->items);
    *bundles = (struct nvl_bundles){0};
}

bool nvl_bundle_is_present(const struct nvl_root *root, const char *version)
{
    nvl_autofree char *manifest = nvl_xasprintf(NVL_BUNDLE_DIR "/%s/manifest.json", version);

    return version[0] != '\0' && nvl_root_exists(root, manifest);
}

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
        return nvl_error_set(err, -EBUSY,
                             "the driver bundle %s is kept: the loaded driver does not report its version",
                             version);
    if (nvl_version_is_pending(version, &loaded, &us))
        return nvl_error_set(
            err, -EBUSY, "the driver bundle %s is kept: that driver is installed, and the next boot loads it",
            version);
    size_t users = count_users(root, version);
    if (users > 0) {
        nvl_error_set(err, -EBUSY, "the driver bundle %s is kept: %zu running container%s %s it", version,
                      users, users > 1 ? "s" : "", users > 1 ? "have" : "has");
        nvl_error_hint(err, "restart %s; then: nvlxc driver prune", users > 1 ? "them" : "it");
        return -EBUSY;
    }
    return 0;
}

/* Renamed first, so that no partial folder has its name. */
static int remove_folder(int store, const char *version)
{
    nvl_autofree char *temporary = nvl_store_temporary_name(version);

    if (renameat(store, version, store, temporary) < 0)
        return -errno;
    return nvl_folder_remove(store, temporary);
}

int nvl_bundles_sweep(const struct nvl_root *root, struct nvl_error *err)
{
    nvl_autofd int store = -1, lock = -1;

    return nvl_root_exists(root, NVL_BUNDLE_DIR) ? nvl_store_open(root, NVL_STORE_WAIT_MS, &store, &lock, err)
                                                 : 0;
}

int nvl_bundle_remove(const struct nvl_root *root, const struct nvl_bundle *bundle, struct nvl_error *err)
{
    nvl_autofd int store = -1, lock = -1;

    if (!nvl_is_version(bundle->version, strlen(bundle->version)))
        return nvl_error_set(err, -EINVAL, "'%s' is not a driver version", bundle->version);
    int r = nvl_store_open(root, NVL_STORE_WAIT_MS, &store, &lock, err);
    if (r == 0)
        r = refuse_needed(root, bundle->version, err);
    if (r == 0)
        r = nvl_root_trouble(root, err); /* a container that has it may not have been seen */
    if (r < 0)
        return r;
    r = remove_folder(store, bundle->version);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot remove the driver bundle %s%s/%s", root->name, NVL_BUNDLE_DIR,
                               bundle->version);
    return 0;
}
