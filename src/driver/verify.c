/* A bundle compared with its manifest. */
#include "driver/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/paths.h"
#include "driver/manifest.h"

#define BLOCK       (256u << 10)
#define SONAMES_MAX (1u << 20)

static int checksum_of(const struct nvl_root *root, const char *path, char text[NVL_CHECKSUM_LENGTH + 1])
{
    nvl_autofd int fd = nvl_root_openat(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return fd;
    nvl_autofree char *block = nvl_xcalloc(1, BLOCK);
    struct nvl_checksum *sum = nvl_checksum_new();
    ssize_t n;

    while ((n = read(fd, block, BLOCK)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            nvl_checksum_add(sum, block, (size_t)n);
    int r = n < 0 ? -errno : 0;
    nvl_checksum_take(sum, text);
    nvl_checksum_free(sum);
    return r;
}

static void verify_file(const struct nvl_root *root, const char *folder, const struct nvl_bundle_file *file,
                        bool deep, struct nvl_strv *faults, struct nvl_strv *unseen)
{
    nvl_autofree char *path = nvl_xasprintf("%s/%s", folder, file->path);
    char checksum[NVL_CHECKSUM_LENGTH + 1];
    struct stat st;
    int r = nvl_root_stat(root, path, AT_SYMLINK_NOFOLLOW, &st);

    if (r < 0)
        nvl_strv_pushf(faults, "%s: %s", path, strerror(-r));
    else if (!S_ISREG(st.st_mode))
        nvl_strv_pushf(faults, "%s is not a regular file", path);
    else if ((uint64_t)st.st_size != file->size)
        nvl_strv_pushf(faults, "%s has %lld bytes, the manifest says %llu", path, (long long)st.st_size,
                       (unsigned long long)file->size);
    else if (deep && (checksum_of(root, path, checksum) < 0 || strcmp(checksum, file->checksum) != 0)) {
        nvl_strv_pushf(faults, "%s has not the content that the manifest says (XXH128)", path);
        nvl_strv_push(unseen, path);
    }
}

static void verify_link(const struct nvl_root *root, const char *folder, const struct nvl_bundle_link *link,
                        struct nvl_strv *faults)
{
    nvl_autofree char *path = nvl_xasprintf("%s/%s", folder, link->path), *target = NULL;
    int r = nvl_root_readlink(root, path, &target);

    if (r < 0)
        nvl_strv_pushf(faults, "%s: %s", path, r == -EINVAL ? "not a link" : strerror(-r));
    else if (strcmp(target, link->target) != 0)
        nvl_strv_pushf(faults, "%s -> %s, the manifest says %s", path, target, link->target);
}

static void verify_sonames(const struct nvl_root *root, const char *folder, const struct nvl_manifest *m,
                           struct nvl_strv *faults)
{
    nvl_autofree char *path = nvl_xasprintf("%s/sonames", folder), *text = NULL;
    nvl_autofree char *wanted = nvl_manifest_sonames(m);
    size_t len;
    int r = nvl_root_read(root, path, SONAMES_MAX, &text, &len);

    if (r < 0)
        nvl_strv_pushf(faults, "%s: %s", path, strerror(-r));
    else if (strcmp(text, wanted) != 0)
        nvl_strv_pushf(faults, "%s does not list the libraries of the manifest", path);
}

void nvl_bundle_verify(const struct nvl_root *root, const struct nvl_bundle *bundle, bool deep,
                       struct nvl_strv *faults, struct nvl_strv *unseen)
{
    nvl_autofree char *folder = nvl_xasprintf(NVL_BUNDLE_DIR "/%s", bundle->version);
    const struct nvl_manifest *m = bundle->manifest;

    if (!bundle->complete) {
        nvl_strv_pushf(faults, "%s/manifest.json: %s", folder,
                       bundle->unreadable == -EINVAL ? "is no manifest of that version"
                                                     : strerror(-bundle->unreadable));
        return;
    }
    for (size_t i = 0; i < m->n_files; i++)
        verify_file(root, folder, &m->files[i], deep, faults, unseen);
    for (size_t i = 0; i < m->n_links; i++)
        verify_link(root, folder, &m->links[i], faults);
    verify_sonames(root, folder, m, faults);
}
