/* A bundle written: built beside, moved into place. */
#include "bundle/build.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"
#include "bundle/store.h"
#include "bundle/folder.h"

#define SONAMES_MAX (1u << 20)

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static bool leads_somewhere(const struct nvl_manifest *m, const char *target)
{
    for (size_t i = 0; i < m->n_files; i++)
        if (strcmp(last_component(m->files[i].path), last_component(target)) == 0)
            return true;
    for (size_t i = 0; i < m->n_links; i++)
        if (strcmp(last_component(m->links[i].path), target) == 0)
            return true;
    return false;
}

void nvl_stage_link(struct nvl_manifest *m, const struct nvl_manifest *before)
{
    nvl_manifest_link_sonames(m);
    for (size_t i = 0; i < before->n_links; i++) {
        bool is_there = false;
        for (size_t n = 0; n < m->n_links && !is_there; n++)
            is_there = strcmp(m->links[n].path, before->links[i].path) == 0;
        if (!is_there && leads_somewhere(m, before->links[i].target))
            nvl_manifest_add_link(m, before->links[i].path, before->links[i].target);
    }
    nvl_manifest_sort(m);
}

bool nvl_stage_has_file(int bundle, const struct nvl_bundle_file *file)
{
    mode_t mode = nvl_has_prefix(file->path, "bin/") ? 0755 : 0644;
    struct stat st;

    return fstatat(bundle, file->path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size == file->size && (st.st_mode & 07777) == mode;
}

static bool has_link(int bundle, const struct nvl_bundle_link *link)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(bundle, link->path, target, sizeof target);

    return n >= 0 && (size_t)n == strlen(link->target) && memcmp(target, link->target, (size_t)n) == 0;
}

bool nvl_stage_has_rest(int bundle, const struct nvl_manifest *m)
{
    for (size_t i = 0; i < m->n_links; i++)
        if (!has_link(bundle, &m->links[i]))
            return false;
    nvl_autofree char *wanted = nvl_manifest_sonames(m), *text = NULL;
    nvl_autofd int fd = openat(bundle, "sonames", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    size_t len;
    return fd >= 0 && nvl_fd_read(fd, SONAMES_MAX, &text, &len) == 0 && strcmp(text, wanted) == 0;
}

static int write_text(int dirfd, const char *name, const char *text)
{
    nvl_autofd int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

    if (fd < 0)
        return -errno;
    int r = nvl_fd_write(fd, text, strlen(text));
    if (r == 0 && (fchmod(fd, 0644) < 0 || fsync(fd) < 0))
        r = -errno;
    return r;
}

static int make_links(int staged, int bundle, const struct nvl_manifest *m)
{
    for (size_t i = 0; i < m->n_links; i++) {
        const struct nvl_bundle_link *link = &m->links[i];
        if (bundle >= 0 && has_link(bundle, link))
            continue;
        int r = nvl_folder_make_parents(staged, link->path);
        if (r == 0 && symlinkat(link->target, staged, link->path) < 0)
            r = -errno;
        if (r < 0)
            return r;
    }
    return 0;
}

/* Everything that the bundle lacks, in the folder of the copier. */
static int fill(struct nvl_copier *copier, int bundle, struct nvl_manifest *m,
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
    nvl_stage_link(m, before);
    int r = make_links(copier->dirfd, bundle, m);
    nvl_autofree char *sonames = nvl_manifest_sonames(m), *manifest = nvl_manifest_format(m);
    if (r == 0)
        r = write_text(copier->dirfd, "sonames", sonames);
    if (r == 0)
        r = write_text(copier->dirfd, "manifest.json", manifest);
    return r;
}

static int move(int staged, int bundle, const char *path)
{
    int r = nvl_folder_make_parents(bundle, path);

    return r < 0 ? r : renameat(staged, path, bundle, path) < 0 ? -errno : 0;
}

/* Containers have the bundle's folder mounted: it stays, and each file in it is the old or the new. */
static int move_files(int staged, int bundle, const struct nvl_manifest *m, const struct nvl_strv *copied)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < copied->count; i++)
        r = move(staged, bundle, copied->items[i]);
    for (size_t i = 0; r == 0 && i < m->n_links; i++)
        if (!has_link(bundle, &m->links[i]))
            r = move(staged, bundle, m->links[i].path);
    if (r == 0)
        r = move(staged, bundle, "sonames");
    return r;
}

static int place(const struct nvl_stage *stage, int staged, int bundle, const char *temporary,
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
    r = move_files(staged, bundle, stage->m, copied);
    if (r == 0)
        r = nvl_folder_sync(stage->store, version);
    if (r == 0)
        r = move(staged, bundle, "manifest.json");
    if (r == 0)
        r = nvl_folder_sync(stage->store, version);
    return r;
}

static int open_folder(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int build(struct nvl_stage *stage, struct nvl_copier *copier, const struct nvl_manifest *before,
                 const char *temporary, struct nvl_error *err)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv copied = {0};
    nvl_autofd int bundle = -1, staged = -1;

    int r = nvl_folder_make(stage->store, temporary);
    if (r < 0)
        return r;
    staged = open_folder(stage->store, temporary);
    if (staged < 0)
        return staged;
    if (stage->has_bundle && (bundle = open_folder(stage->store, stage->m->version)) < 0)
        return bundle;
    copier->dirfd = staged;
    r = fill(copier, bundle, stage->m, before, &copied, err);
    return r < 0 ? r : place(stage, staged, bundle, temporary, &copied);
}

int nvl_stage_write(struct nvl_stage *stage, struct nvl_copier *copier, const struct nvl_manifest *before,
                    struct nvl_error *err)
{
    nvl_autofree char *temporary = nvl_store_temporary_name(stage->m->version);
    struct nvl_error why = {0};

    int r = build(stage, copier, before, temporary, &why);
    nvl_folder_remove(stage->store, temporary); /* empty after an update, and gone after a first build */
    if (r < 0 && why.message[0] == '\0')
        return nvl_store_error(stage->store, r, stage->m->version, copier->total, err);
    if (r < 0 && err != NULL)
        *err = why;
    return r;
}
