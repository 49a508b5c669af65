/* The bundles that are there, and what each is good for now. */
#include "bundle/list.h"

#include <errno.h>

#include "base/paths.h"
#include "bundle/manifest.h"
#include "bundle/mounted_by.h"
#include "host/userspace.h"

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

void nvl_bundles_count_users(const struct nvl_root *root, struct nvl_bundles *bundles)
{
    for (size_t i = 0; i < bundles->count; i++)
        bundles->items[i].in_use = nvl_bundle_users(root, bundles->items[i].version);
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
