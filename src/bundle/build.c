/* Brings a bundle up to date with what is installed on the host: builds beside it, then moves into place. */
#include "bundle/build.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/output_file.h"
#include "base/paths.h"
#include "base/root.h"
#include "bundle/manifest.h"
#include "bundle/select.h"
#include "bundle/store.h"
#include "host/driver_folder.h"

/* What is being written. */
struct stage {
    int store;              /* NVL_BUNDLE_DIR, locked */
    bool has_bundle;        /* a folder of that version exists: it is updated in place */
    struct nvl_manifest *m; /* of the whole bundle; files without checksum are copied */
};

/* An existing bundle: its folder (-1 for none), and its manifest (empty if it cannot be read). */
struct found {
    const struct nvl_root *root;
    int fd;
    struct nvl_manifest m;
};

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static bool leads_to_file(const struct nvl_manifest *m, const char *target)
{
    for (size_t i = 0; i < m->n_files; i++)
        if (strcmp(last_component(m->files[i].path), last_component(target)) == 0)
            return true;
    for (size_t i = 0; i < m->n_links; i++)
        if (strcmp(last_component(m->links[i].path), target) == 0)
            return true;
    return false;
}

/* The links that the manifest's libraries need, and those of the previous bundle that still lead to a
 * file. */
static void add_links(struct nvl_manifest *m, const struct nvl_manifest *before)
{
    nvl_manifest_link_sonames(m);
    for (size_t i = 0; i < before->n_links; i++) {
        bool is_there = false;
        for (size_t n = 0; n < m->n_links && !is_there; n++)
            is_there = strcmp(m->links[n].path, before->links[i].path) == 0;
        if (!is_there && leads_to_file(m, before->links[i].target))
            nvl_manifest_add_link(m, before->links[i].path, before->links[i].target);
    }
    nvl_manifest_sort(m);
}

/* Whether the bundle has this file in the right state, judged only by its inode. */
static bool has_file(const struct found *found, const struct nvl_bundle_file *file)
{
    mode_t mode = nvl_has_prefix(file->path, "bin/") ? 0755 : 0644;
    struct stat st;

    if (fstatat(found->fd, file->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return nvl_root_note(found->root, file->path, -errno) == 0;
    return S_ISREG(st.st_mode) && (uint64_t)st.st_size == file->size && (st.st_mode & 07777) == mode;
}

/* 1 if it is there, 0 if not or if it leads elsewhere; a negative errno if that cannot be told. */
static int has_link(int bundle, const struct nvl_bundle_link *link)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(bundle, link->path, target, sizeof target);

    if (n < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EINVAL ? 0 : -errno;
    return (size_t)n == strlen(link->target) && memcmp(target, link->target, (size_t)n) == 0;
}

/* Whether all links and `sonames` match the manifest, in the same way. */
static int has_rest(int bundle, const struct nvl_manifest *m)
{
    for (size_t i = 0; i < m->n_links; i++) {
        int r = has_link(bundle, &m->links[i]);
        if (r <= 0)
            return r;
    }
    nvl_autofree char *wanted = nvl_manifest_sonames(m), *text = NULL;
    nvl_autofd int fd = openat(bundle, "sonames", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    size_t len;
    int r = fd < 0 ? -errno : nvl_fd_read(fd, NVL_SONAMES_MAX, &text, &len);
    if (r == 0)
        return nvl_bytes_are(text, len, wanted);
    return nvl_is_trouble(r) || r == -EACCES ? r : 0;
}

static int write_bundle_text(int dirfd, const char *name, const char *text)
{
    nvl_autofd int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

    if (fd < 0)
        return -errno;
    int r = nvl_fd_write(fd, text, strlen(text));
    if (r == 0 && (fchmod(fd, 0644) < 0 || fsync(fd) < 0))
        r = -errno;
    return r;
}

static int make_bundle_links(int staged, int bundle, const struct nvl_manifest *m)
{
    const struct nvl_root folder = nvl_root_borrow(staged);

    for (size_t i = 0; i < m->n_links; i++) {
        const struct nvl_bundle_link *link = &m->links[i];
        int r = bundle >= 0 ? has_link(bundle, link) : 0;
        if (r > 0)
            continue;
        if (r == 0)
            r = nvl_root_make_parents(&folder, link->path);
        if (r == 0 && symlinkat(link->target, staged, link->path) < 0)
            r = -errno;
        if (r < 0)
            return r;
    }
    return 0;
}

/* Everything that the bundle lacks, in the folder of the copier. */
static int fill_stage(struct nvl_copier *copier, int bundle, struct nvl_manifest *m,
                      const struct nvl_manifest *before, struct nvl_strv *copied, struct nvl_error *err)
{
    for (size_t i = 0; i < m->n_files; i++) {
        if (m->files[i].checksum[0] != '\0')
            continue;
        nvl_strv_push(copied, m->files[i].path);
        int r = nvl_copy_file(copier, &m->files[i], err);
        if (r < 0)
            return r;
    }
    add_links(m, before);
    int r = nvl_copies_sync(copier, copied);
    if (r == 0)
        r = make_bundle_links(copier->dirfd, bundle, m);
    nvl_autofree char *sonames = nvl_manifest_sonames(m), *manifest = nvl_manifest_format(m);
    if (r == 0)
        r = write_bundle_text(copier->dirfd, "sonames", sonames);
    if (r == 0)
        r = write_bundle_text(copier->dirfd, "manifest.json", manifest);
    return r;
}

static int move_into_bundle(int staged, int bundle, const char *path)
{
    const struct nvl_root folder = nvl_root_borrow(bundle);
    int r = nvl_root_make_parents(&folder, path);

    return r < 0 ? r : renameat(staged, path, bundle, path) < 0 ? -errno : 0;
}

/* Containers have the bundle's folder mounted: it stays, and each file in it is either the old or the new. */
static int move_bundle_files(int staged, int bundle, const struct nvl_manifest *m,
                             const struct nvl_strv *copied)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < copied->count; i++)
        r = move_into_bundle(staged, bundle, copied->items[i]);
    for (size_t i = 0; r == 0 && i < m->n_links; i++) {
        r = has_link(bundle, &m->links[i]);
        r = r == 0 ? move_into_bundle(staged, bundle, m->links[i].path) : r > 0 ? 0 : r;
    }
    if (r == 0)
        r = move_into_bundle(staged, bundle, "sonames");
    return r;
}

static int place_stage(const struct stage *stage, int staged, int bundle, const char *temporary,
                       const struct nvl_strv *copied)
{
    const char *version = stage->m->version;
    int r = nvl_folder_sync(stage->store, temporary);

    if (r < 0)
        return r;
    if (!stage->has_bundle)
        return renameat(stage->store, temporary, stage->store, version) < 0 || fsync(stage->store) < 0
                   ? -errno
                   : 0;
    r = move_bundle_files(staged, bundle, stage->m, copied);
    if (r == 0)
        r = nvl_folder_sync(stage->store, version);
    if (r == 0)
        r = move_into_bundle(staged, bundle, "manifest.json");
    if (r == 0)
        r = nvl_folder_sync(stage->store, version);
    return r;
}

static int open_bundle_folder(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int build_stage(struct stage *stage, struct nvl_copier *copier, const struct nvl_manifest *before,
                       const char *temporary, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv copied = {0};
    const struct nvl_root store = nvl_root_borrow(stage->store);
    nvl_autofd int bundle = -1, staged = -1;

    int r = nvl_root_make_folder(&store, temporary);
    if (r < 0)
        return r;
    staged = open_bundle_folder(stage->store, temporary);
    if (staged < 0)
        return staged;
    if (stage->has_bundle && (bundle = open_bundle_folder(stage->store, stage->m->version)) < 0)
        return bundle;
    copier->dirfd = staged;
    r = fill_stage(copier, bundle, stage->m, before, &copied, err);
    return r < 0 ? r : place_stage(stage, staged, bundle, temporary, &copied);
}

/* On an error the temporary folder is removed, and an existing bundle is unchanged. */
static int write_stage(struct stage *stage, struct nvl_copier *copier, const struct nvl_manifest *before,
                       struct nvl_error *err)
{
    nvl_autofree char *temporary = nvl_store_temporary_name(stage->m->version);
    struct nvl_error why = {0};

    int r = build_stage(stage, copier, before, temporary, &why);
    nvl_folder_remove(stage->store, temporary); /* empty after an update, and gone after a first build */
    if (r < 0 && why.message[0] == '\0')
        return nvl_store_error(stage->store, r, stage->m->version, copier->total, err);
    if (r < 0 && err != NULL)
        *err = why;
    return r;
}

static void found_bundle_clear(struct found *f)
{
    if (f->fd >= 0)
        close(f->fd);
    nvl_manifest_clear(&f->m);
}

static int find_bundle_to_sync(const struct nvl_root *root, const char *version, struct found *f,
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
static void merge_found(const struct found *found, struct nvl_manifest *chosen)
{
    for (size_t i = 0; i < found->m.n_files; i++) {
        const struct nvl_bundle_file *old = &found->m.files[i];
        struct nvl_bundle_file *new = nvl_manifest_find(chosen, old->path);
        if (!has_file(found, old) || (new != NULL && !nvl_bundle_file_same(old, new)))
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

/* 1, 0, or a negative errno if that cannot be told. */
static int is_bundle_current(const struct found *found, struct nvl_manifest *m)
{
    if (found->fd < 0 || m->n_files != found->m.n_files)
        return 0;
    for (size_t i = 0; i < m->n_files; i++)
        if (m->files[i].checksum[0] == '\0')
            return 0;
    add_links(m, &found->m);
    return m->n_links == found->m.n_links ? has_rest(found->fd, m) : 0;
}

static int sync_bundle(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                       int store, struct nvl_copier *copier, struct nvl_sync_result *result,
                       struct nvl_error *err)
{
    nvl_auto(found_bundle_clear) struct found found = {.root = root, .fd = -1};
    nvl_auto(nvl_manifest_clear) struct nvl_manifest m = {0};

    int r = find_bundle_to_sync(root, version, &found, err);
    if (r == 0)
        r = nvl_select_files(root, us, version, &found.m, &m, &result->selection, err);
    if (r < 0)
        return r;
    merge_found(&found, &m);
    r = nvl_root_trouble(root, err); /* something that is installed may have been left out */
    if (r < 0)
        return r;
    int is_current = is_bundle_current(&found, &m);
    if (is_current < 0)
        return nvl_error_errno(err, is_current, "cannot read the driver bundle %s/%s", NVL_BUNDLE_DIR,
                               version);
    result->changed = is_current == 0;
    result->n_files = m.n_files;
    result->bytes = nvl_manifest_bytes(&m);
    copier->total = bytes_to_copy(&m);
    if (!result->changed || store < 0)
        return 0;
    struct stage stage = {.store = store, .has_bundle = found.fd >= 0, .m = &m};
    return write_stage(&stage, copier, &found.m, err);
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

void nvl_sync_result_clear(struct nvl_sync_result *result)
{
    nvl_selection_clear(&result->selection);
    *result = (struct nvl_sync_result){0};
}

/* ---- where later syncs look, too ---- */

static int forget_folder(const struct nvl_root *root, struct nvl_error *err)
{
    const char *name;
    nvl_autofd int parent = nvl_root_open_parent(root, NVL_DRIVER_FOLDER_FILE, &name);

    if (parent == -ENOENT || (parent >= 0 && (unlinkat(parent, name, 0) == 0 || errno == ENOENT)))
        return 0;
    return nvl_error_errno(err, parent < 0 ? parent : -errno, "cannot remove %s%s", root->name,
                           NVL_DRIVER_FOLDER_FILE);
}

int nvl_bundle_remember_folder(const struct nvl_root *root, const char *folder, struct nvl_error *err)
{
    nvl_autofree char *text = nvl_xasprintf("%s\n", folder);
    bool changed;

    if (folder[0] == '\0')
        return forget_folder(root, err);
    int r = nvl_root_make_parents(root, NVL_DRIVER_FOLDER_FILE);
    if (r < 0)
        return nvl_error_errno(err, r, "cannot make the folder of %s%s", root->name, NVL_DRIVER_FOLDER_FILE);
    return nvl_output_write(root, NVL_DRIVER_FOLDER_FILE, text, &changed, err);
}
