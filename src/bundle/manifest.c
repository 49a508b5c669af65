/* The manifest of a bundle, in memory and as JSON. */
#include "bundle/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/paths.h"
#include "base/root.h"
#include "bundle/list.h"

#define MANIFEST_MAX (4u << 20)

static void drop_manifest_json(json_t **value)
{
    json_decref(*value);
}

/* Paths of a manifest are used to make and to replace files: they must stay in the bundle. */
static bool stays_inside(const char *path)
{
    if (path == NULL || path[0] == '\0' || path[0] == '/')
        return false;
    for (const char *part = path; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        size_t len = strcspn(part, "/");
        if (len == 0 || (len == 1 && part[0] == '.') || (len == 2 && memcmp(part, "..", 2) == 0))
            return false;
    }
    return true;
}

static int take_manifest_file(struct nvl_manifest *m, json_t *item)
{
    const char *path, *source, *checksum, *soname = NULL;
    json_int_t size, mtime;

    if (json_unpack(item, "{s:s, s:s, s:I, s:I, s:s, s?s}", "path", &path, "source", &source, "size", &size,
                    "mtime_ns", &mtime, "xxh128", &checksum, "soname", &soname) < 0)
        return -EINVAL;
    if (!stays_inside(path) || size < 0 || strlen(checksum) != NVL_CHECKSUM_LENGTH ||
        (soname != NULL && (soname[0] == '\0' || strchr(soname, '/') != NULL)))
        return -EINVAL;
    struct nvl_bundle_file *file = nvl_manifest_add(m, path);
    if (file->source != NULL)
        return -EINVAL; /* twice */
    file->source = nvl_xstrdup(source);
    file->size = (uint64_t)size;
    file->mtime = mtime;
    nvl_copy(file->checksum, sizeof file->checksum, checksum, strlen(checksum));
    file->soname = soname != NULL ? nvl_xstrdup(soname) : NULL;
    return 0;
}

static int take_manifest_link(struct nvl_manifest *m, json_t *item)
{
    const char *path, *target;

    if (json_unpack(item, "{s:s, s:s}", "path", &path, "target", &target) < 0 || !stays_inside(path) ||
        target[0] == '\0' || target[0] == '/')
        return -EINVAL;
    nvl_manifest_add_link(m, path, target);
    return 0;
}

static int take_manifest(struct nvl_manifest *m, json_t *json, const char *version)
{
    const char *said;
    json_t *files, *links, *item;
    size_t i;

    if (json_unpack(json, "{s:s, s:o, s:o}", "version", &said, "files", &files, "links", &links) < 0 ||
        strcmp(said, version) != 0 || !json_is_array(files) || !json_is_array(links))
        return -EINVAL;
    nvl_copy(m->version, sizeof m->version, version, strlen(version));
    json_array_foreach(files, i, item) if (take_manifest_file(m, item) < 0) return -EINVAL;
    json_array_foreach(links, i, item) if (take_manifest_link(m, item) < 0) return -EINVAL;
    return 0;
}

int nvl_manifest_parse(const char *text, size_t len, const char *version, struct nvl_manifest *m)
{
    json_t nvl_auto(drop_manifest_json) *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);

    *m = (struct nvl_manifest){0};
    int r = json != NULL ? take_manifest(m, json, version) : -EINVAL;
    if (r < 0)
        nvl_manifest_clear(m);
    return r;
}

int nvl_manifest_read(const struct nvl_root *root, const char *version, struct nvl_manifest *m)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_BUNDLE_DIR "/%s/manifest.json", version);
    nvl_autofree char *text = NULL;
    size_t len;

    *m = (struct nvl_manifest){0};
    int r = nvl_root_read(root, path, MANIFEST_MAX, &text, &len);
    return r < 0 ? r : nvl_manifest_parse(text, len, version, m);
}

char *nvl_manifest_format(const struct nvl_manifest *m)
{
    json_t nvl_auto(drop_manifest_json) *json =
        json_pack("{s:s, s:s, s:[], s:[]}", "version", m->version, "created_by", "nvlxc " NVL_VERSION,
                  "files", "links");

    for (size_t i = 0; i < m->n_files; i++) {
        const struct nvl_bundle_file *file = &m->files[i];
        json_array_append_new(json_object_get(json, "files"),
                              json_pack("{s:s, s:s, s:I, s:I, s:s, s:s*}", "path", file->path, "source",
                                        file->source, "size", (json_int_t)file->size, "mtime_ns",
                                        (json_int_t)file->mtime, "xxh128", file->checksum, "soname",
                                        file->soname));
    }
    for (size_t i = 0; i < m->n_links; i++)
        json_array_append_new(
            json_object_get(json, "links"),
            json_pack("{s:s, s:s}", "path", m->links[i].path, "target", m->links[i].target));
    nvl_autofree char *text = json_dumps(json, JSON_INDENT(2));
    return nvl_xasprintf("%s\n", text);
}

static void clear_file(struct nvl_bundle_file *file)
{
    free(file->path);
    free(file->source);
    free(file->soname);
}

void nvl_manifest_clear(struct nvl_manifest *m)
{
    for (size_t i = 0; i < m->n_files; i++)
        clear_file(&m->files[i]);
    for (size_t i = 0; i < m->n_links; i++) {
        free(m->links[i].path);
        free(m->links[i].target);
    }
    free(m->files);
    free(m->links);
    *m = (struct nvl_manifest){0};
}

struct nvl_bundle_file *nvl_manifest_find(const struct nvl_manifest *m, const char *path)
{
    for (size_t i = 0; i < m->n_files; i++)
        if (strcmp(m->files[i].path, path) == 0)
            return &m->files[i];
    return NULL;
}

bool nvl_bundle_file_same(const struct nvl_bundle_file *a, const struct nvl_bundle_file *b)
{
    return a->size == b->size && a->mtime == b->mtime && strcmp(a->source, b->source) == 0;
}

struct nvl_bundle_file *nvl_manifest_add(struct nvl_manifest *m, const char *path)
{
    struct nvl_bundle_file *file = nvl_manifest_find(m, path);

    if (file == NULL) {
        file = NVL_APPEND(m->files, m->n_files);
        file->path = nvl_xstrdup(path);
    }
    return file;
}

void nvl_manifest_add_link(struct nvl_manifest *m, const char *path, const char *target)
{
    for (size_t i = 0; i < m->n_links; i++)
        if (strcmp(m->links[i].path, path) == 0) {
            free(m->links[i].target);
            m->links[i].target = nvl_xstrdup(target);
            return;
        }
    struct nvl_bundle_link *link = NVL_APPEND(m->links, m->n_links);
    link->path = nvl_xstrdup(path);
    link->target = nvl_xstrdup(target);
}

static int file_order(const void *a, const void *b)
{
    return strcmp(((const struct nvl_bundle_file *)a)->path, ((const struct nvl_bundle_file *)b)->path);
}

static int link_order(const void *a, const void *b)
{
    return strcmp(((const struct nvl_bundle_link *)a)->path, ((const struct nvl_bundle_link *)b)->path);
}

void nvl_manifest_sort(struct nvl_manifest *m)
{
    if (m->n_files > 1)
        qsort(m->files, m->n_files, sizeof *m->files, file_order);
    if (m->n_links > 1)
        qsort(m->links, m->n_links, sizeof *m->links, link_order);
}

uint64_t nvl_manifest_bytes(const struct nvl_manifest *m)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < m->n_files; i++)
        bytes += m->files[i].size;
    return bytes;
}

static bool has_manifest_link(const struct nvl_manifest *m, const char *path)
{
    for (size_t i = 0; i < m->n_links; i++)
        if (strcmp(m->links[i].path, path) == 0)
            return true;
    return false;
}

/* libcuda.so.550.163.01 is libcuda.so.1 by its name, too. */
static bool has_own_soname(const struct nvl_bundle_file *file)
{
    const char *name = strrchr(file->path, '/') + 1, *so = strstr(file->soname, ".so");

    return so != NULL && strncmp(name, file->soname, (size_t)(so - file->soname) + 3) == 0;
}

static void link_soname(struct nvl_manifest *m, const struct nvl_bundle_file *file)
{
    const char *name = strrchr(file->path, '/');
    nvl_autofree char *dir = nvl_xstrndup(file->path, (size_t)(name - file->path));
    nvl_autofree char *link = nvl_xasprintf("%s/%s", dir, file->soname);
    nvl_autofree char *plain = nvl_xasprintf("%s/libcuda.so", dir);

    /* a library that claims another's soname does not take its link, or its place */
    if (nvl_manifest_find(m, link) == NULL && (has_own_soname(file) || !has_manifest_link(m, link)))
        nvl_manifest_add_link(m, link, name + 1);
    /* the name that Triton and programs that link with -lcuda look for */
    if (strcmp(file->soname, "libcuda.so.1") == 0)
        nvl_manifest_add_link(m, plain, file->soname);
}

void nvl_manifest_link_sonames(struct nvl_manifest *m)
{
    for (size_t i = 0; i < m->n_files; i++)
        if (m->files[i].soname != NULL && strrchr(m->files[i].path, '/') != NULL)
            link_soname(m, &m->files[i]);
}

char *nvl_manifest_sonames(const struct nvl_manifest *m)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv lines = {0};

    for (size_t i = 0; i < m->n_files; i++) {
        const struct nvl_bundle_file *file = &m->files[i];
        const char *name = strrchr(file->path, '/');
        if (file->soname != NULL && name == file->path + 5 &&
            (nvl_has_prefix(file->path, "lib64/") || nvl_has_prefix(file->path, "lib32/")))
            nvl_strv_pushf(&lines, "%.5s %s\n", file->path, file->soname);
    }
    nvl_strv_sort(&lines);
    return nvl_strv_join(&lines, "");
}

/* ---- comparing a bundle with its manifest ---- */

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
        nvl_strv_pushf(look->faults, "%s/%s does not have the content that the manifest names (XXH128)",
                       look->path, file->path);
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
    else if (!nvl_bytes_are(text, len, wanted))
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
                       : bundle->unreadable == -EINVAL ? "is not a manifest of that version"
                                                       : strerror(-bundle->unreadable));
        return;
    }
    for (size_t i = 0; i < m->n_files; i++)
        verify_file(&look, &m->files[i]);
    for (size_t i = 0; i < m->n_links; i++)
        verify_link(&look, &m->links[i]);
    verify_sonames(&look, m);
}
