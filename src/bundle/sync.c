/* A bundle brought to what is installed on the host. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/paths.h"
#include "bundle/bundle.h"
#include "bundle/select.h"
#include "bundle/build.h"
#include "bundle/store.h"

/* A bundle as it is found: its folder (-1 for none), and its manifest (empty where it cannot be read). */
struct found {
    int fd;
    struct nvl_manifest m;
};

static void found_clear(struct found *f)
{
    if (f->fd >= 0)
        close(f->fd);
    nvl_manifest_clear(&f->m);
}

static int find_bundle(const struct nvl_root *root, const char *version, struct found *f,
                       struct nvl_error *err)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_BUNDLE_DIR "/%s", version);

    f->fd = nvl_root_openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (f->fd == -ENOENT)
        return 0;
    if (f->fd < 0)
        return nvl_error_errno(err, f->fd, "cannot open the driver bundle %s%s", root->name, path);
    nvl_manifest_read(root, version, &f->m); /* an empty one means that every file is copied again */
    return 0;
}

/* What the bundle has already is not copied; what only the bundle has stays: packages may have been upgraded
 * since, and this is still the version that the running module needs. */
static void merge(const struct found *found, struct nvl_manifest *chosen)
{
    for (size_t i = 0; i < found->m.n_files; i++) {
        const struct nvl_bundle_file *old = &found->m.files[i];
        struct nvl_bundle_file *new = nvl_manifest_find(chosen, old->path);
        if (!nvl_stage_has_file(found->fd, old) || (new != NULL && !nvl_bundle_file_same(old, new)))
            continue;
        if (new == NULL) {
            new = nvl_manifest_add(chosen, old->path);
            new->source = nvl_xstrdup(old->source);
            new->size = old->size;
            new->mtime = old->mtime;
        }
        memcpy(new->checksum, old->checksum, sizeof new->checksum);
        new->soname = old->soname != NULL ? nvl_xstrdup(old->soname) : NULL;
    }
    nvl_manifest_sort(chosen);
}

static uint64_t bytes_to_copy(const struct nvl_manifest *m)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < m->n_files; i++)
        bytes += m->files[i].checksum[0] == '\0' ? m->files[i].size : 0;
    return bytes;
}

static bool is_current(const struct found *found, struct nvl_manifest *m)
{
    if (found->fd < 0 || m->n_files != found->m.n_files)
        return false;
    for (size_t i = 0; i < m->n_files; i++)
        if (m->files[i].checksum[0] == '\0')
            return false;
    nvl_stage_link(m, &found->m);
    return m->n_links == found->m.n_links && nvl_stage_has_rest(found->fd, m);
}

static int sync_bundle(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                       int store, struct nvl_copier *copier, struct nvl_sync_result *result,
                       struct nvl_error *err)
{
    nvl_auto(found_clear) struct found found = {.fd = -1};
    nvl_auto(nvl_manifest_clear) struct nvl_manifest m = {0};

    int r = find_bundle(root, version, &found, err);
    if (r == 0)
        r = nvl_choose(root, us, version, &found.m, &m, &result->missing, err);
    if (r < 0)
        return r;
    merge(&found, &m);
    result->changed = !is_current(&found, &m);
    result->n_files = m.n_files;
    result->bytes = nvl_manifest_bytes(&m);
    copier->total = bytes_to_copy(&m);
    if (!result->changed || store < 0)
        return 0;
    struct nvl_stage stage = {.store = store, .has_bundle = found.fd >= 0, .m = &m};
    return nvl_stage_write(&stage, copier, &found.m, err);
}

int nvl_bundle_sync(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                    bool dry_run, nvl_progress_fn *progress, void *progress_data,
                    struct nvl_sync_result *result, struct nvl_error *err)
{
    struct nvl_copier copier = {.root = root, .progress = progress, .progress_data = progress_data};
    nvl_autofd int store = -1, lock = -1;

    *result = (struct nvl_sync_result){0};
    if (!nvl_is_version(version, strlen(version)) || strlen(version) >= NVL_VERSION_MAX)
        return nvl_error_set(err, -EINVAL, "'%s' is not a driver version", version);
    if (!dry_run) {
        int r = nvl_store_open(root, NVL_STORE_WAIT_MS, &store, &lock, err);
        if (r < 0)
            return r;
    }
    int r = sync_bundle(root, us, version, store, &copier, result, err);
    if (r < 0)
        nvl_sync_result_clear(result);
    return r;
}

int nvl_bundle_lacks(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                     struct nvl_strv *missing, struct nvl_error *err)
{
    nvl_auto(nvl_manifest_clear) struct nvl_manifest found = {0}, m = {0};

    nvl_manifest_read(root, version, &found); /* an empty one means that every file is looked into */
    return nvl_choose(root, us, version, &found, &m, missing, err);
}

void nvl_sync_result_clear(struct nvl_sync_result *result)
{
    nvl_strv_clear(&result->missing);
    *result = (struct nvl_sync_result){0};
}
