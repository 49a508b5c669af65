/* A bundle compared with its manifest. */
#include "bundle/integrity.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"
#include "bundle/list.h"
#include "bundle/manifest.h"

/* The folder of one bundle. */
struct look {
    int fd;
    const char *path;
    bool deep;
    struct nvl_strv *faults, *unseen;
};

static int read_checksum(int folder, const char *path, char text[NVL_CHECKSUM_LENGTH + 1])
{
    nvl_autofd int fd = openat(folder, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    return fd < 0 ? -errno : nvl_checksum_of(fd, text);
}

static void verify_file(const struct look *look, const struct nvl_bundle_file *file)
{
    char checksum[NVL_CHECKSUM_LENGTH + 1];
    struct stat st;

    if (fstatat(look->fd, file->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        nvl_strv_pushf(look->faults, "%s/%s: %s", look->path, file->path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        nvl_strv_pushf(look->faults, "%s/%s is not a regular file", look->path, file->path);
    else if ((uint64_t)st.st_size != file->size)
        nvl_strv_pushf(look->faults, "%s/%s has %lld bytes, the manifest says %llu", look->path, file->path,
                       (long long)st.st_size, (unsigned long long)file->size);
    else if (look->deep &&
             (read_checksum(look->fd, file->path, checksum) < 0 || strcmp(checksum, file->checksum) != 0)) {
        nvl_strv_pushf(look->faults, "%s/%s has not the content that the manifest says (XXH128)", look->path,
                       file->path);
        nvl_strv_pushf(look->unseen, "%s/%s", look->path, file->path);
    }
}

static void verify_link(const struct look *look, const struct nvl_bundle_link *link)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(look->fd, link->path, target, sizeof target - 1);

    if (n < 0) {
        nvl_strv_pushf(look->faults, "%s/%s: %s", look->path, link->path,
                       errno == EINVAL ? "not a link" : strerror(errno));
        return;
    }
    target[n] = '\0';
    if (strcmp(target, link->target) != 0)
        nvl_strv_pushf(look->faults, "%s/%s -> %s, the manifest says %s", look->path, link->path, target,
                       link->target);
}

static void verify_sonames(const struct look *look, const struct nvl_manifest *m)
{
    nvl_autofd int fd = openat(look->fd, "sonames", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    nvl_autofree char *text = NULL, *wanted = nvl_manifest_sonames(m);
    size_t len;
    int r = fd < 0 ? -errno : nvl_fd_read(fd, NVL_SONAMES_MAX, &text, &len);

    if (r < 0)
        nvl_strv_pushf(look->faults, "%s/sonames: %s", look->path, strerror(-r));
    else if (strcmp(text, wanted) != 0)
        nvl_strv_pushf(look->faults, "%s/sonames does not list the libraries of the manifest", look->path);
}

void nvl_bundle_verify(const struct nvl_root *root, const struct nvl_bundle *bundle, bool deep,
                       struct nvl_strv *faults, struct nvl_strv *unseen)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_BUNDLE_DIR "/%s", bundle->version);
    nvl_autofd int fd = nvl_root_openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    const struct look look = {fd, path, deep, faults, unseen};
    const struct nvl_manifest *m = bundle->manifest;

    if (fd < 0 || !bundle->complete) {
        nvl_strv_pushf(faults, "%s%s: %s", path, fd < 0 ? "" : "/manifest.json",
                       fd < 0                          ? strerror(-fd)
                       : bundle->unreadable == -EINVAL ? "is no manifest of that version"
                                                       : strerror(-bundle->unreadable));
        return;
    }
    for (size_t i = 0; i < m->n_files; i++)
        verify_file(&look, &m->files[i]);
    for (size_t i = 0; i < m->n_links; i++)
        verify_link(&look, &m->links[i]);
    verify_sonames(&look, m);
}
