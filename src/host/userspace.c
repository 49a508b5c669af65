/* Finds the driver's libraries on the host. The linker cache tells what programs load today; the known
 * folders find what no cache names: Debian's nvidia/current behind its alternatives, a private prefix, a
 * driver container's tree. */
#include "host/userspace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/root.h"

/* A folder that may contain libraries, and the class that they have if none of them tells it itself. */
struct candidate {
    const char
        *path; /* with '*' as its last component: each folder in it; "x-*": each that begins with "x-" */
    enum nvl_elf_class elf;
};

/* 64 before 32: the lib64 beside a plain `lib` tells whether that is a 32-bit folder. */
static const struct candidate known[] = {
    {"/usr/lib/x86_64-linux-gnu/nvidia/*", NVL_ELF_64},
    {"/usr/lib/x86_64-linux-gnu", NVL_ELF_64},
    {"/usr/lib/aarch64-linux-gnu/nvidia/*", NVL_ELF_64},
    {"/usr/lib/aarch64-linux-gnu", NVL_ELF_64},
    {"/usr/lib64", NVL_ELF_64},
    {"/usr/lib64/nvidia", NVL_ELF_64},
    {"/usr/lib/nvidia-*", NVL_ELF_64},
    {"/usr/local/nvidia/lib64", NVL_ELF_64},
    {"/usr/local/lib/x86_64-linux-gnu", NVL_ELF_64},
    {"/opt/nvidia/lib64", NVL_ELF_64},
    {"/run/nvidia/driver/usr/lib/x86_64-linux-gnu", NVL_ELF_64},
    {"/run/nvidia/driver/usr/lib/aarch64-linux-gnu", NVL_ELF_64},
    {"/run/nvidia/driver/usr/lib64", NVL_ELF_64},
    {"/usr/lib/i386-linux-gnu/nvidia/*", NVL_ELF_32},
    {"/usr/lib/i386-linux-gnu", NVL_ELF_32},
    {"/usr/lib32", NVL_ELF_32},
    {"/usr/lib32/nvidia-*", NVL_ELF_32},
    {"/usr/local/nvidia/lib32", NVL_ELF_32},
    {"/run/nvidia/driver/usr/lib/i386-linux-gnu", NVL_ELF_32},
    {"/usr/lib", NVL_ELF_OTHER},
    {"/usr/local/nvidia/lib", NVL_ELF_OTHER},
    {"/opt/nvidia/lib", NVL_ELF_OTHER},
    {"/run/nvidia/driver/usr/lib", NVL_ELF_OTHER},
};

/* "libcuda.so.550.163.01" contains the version; NULL for every other name. NVIDIA numbers drivers with three
 * digits: names with fewer (libnvidia-container.so.1.17.4, libnvidia-egl-gbm.so.1.1.0) belong to other
 * projects. So do the libraries of nvidia-settings, whose version may differ from the driver's. */
static const char *version_of(const char *name)
{
    if (!nvl_has_prefix(name, "libcuda.so.") && !nvl_has_prefix(name, "libnvidia-"))
        return NULL;
    if (nvl_has_prefix(name, "libnvidia-gtk") || nvl_has_prefix(name, "libnvidia-wayland-client"))
        return NULL;
    const char *so = strstr(name, ".so.");
    if (so == NULL || strspn(so + 4, "0123456789") < 3)
        return NULL;
    return nvl_is_version(so + 4, strlen(so + 4)) ? so + 4 : NULL;
}

/* 64 or 32 from the file's first bytes; OTHER if it cannot be read, or is an empty file of a fixture. */
static enum nvl_elf_class class_of_file(const struct nvl_root *root, const char *dir, const char *name)
{
    nvl_autofree char *path = nvl_xasprintf("%s/%s", dir, name);
    nvl_autofd int fd = nvl_root_openat(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    unsigned char head[5];
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || read(fd, head, sizeof head) != sizeof head ||
        memcmp(head, "\177ELF", 4) != 0)
        return NVL_ELF_OTHER;
    return head[4] == 2 ? NVL_ELF_64 : head[4] == 1 ? NVL_ELF_32 : NVL_ELF_OTHER;
}

/* A folder "lib" is 32-bit if a "lib64" beside it contains the driver, too. */
static enum nvl_elf_class class_by_name(const struct nvl_userspace *us, const char *dir)
{
    nvl_autofree char *lib64 = nvl_xasprintf("%s64", dir);

    if (strstr(dir, "i386-linux-gnu") != NULL || strstr(dir, "/lib32") != NULL)
        return NVL_ELF_32;
    for (size_t i = 0; i < us->n_dirs; i++)
        if (strcmp(us->dirs[i].path, lib64) == 0)
            return NVL_ELF_32;
    return NVL_ELF_64;
}

static bool has_dir(const struct nvl_userspace *us, const char *path)
{
    for (size_t i = 0; i < us->n_dirs; i++)
        if (strcmp(us->dirs[i].path, path) == 0)
            return true;
    return false;
}

static int newest_first(const void *a, const void *b)
{
    return -nvl_version_compare(*(char *const *)a, *(char *const *)b);
}

static void sort_versions(struct nvl_strv *versions)
{
    if (versions->count > 1)
        qsort(versions->items, versions->count, sizeof *versions->items, newest_first);
}

static void note_versions(struct nvl_userspace *us, const struct nvl_strv *names)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *version = version_of(names->items[i]);
        if (version != NULL && !nvl_strv_contains(&us->versions, version) &&
            (nvl_has_prefix(names->items[i], "libcuda.so.") ||
             nvl_has_prefix(names->items[i], "libnvidia-ml.so.")))
            nvl_strv_push(&us->versions, version);
    }
}

/* Adds the folder once for each version that it contains. */
static void add_folder(const struct nvl_root *root, struct nvl_userspace *us, const char *path,
                       enum nvl_elf_class expected)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0}, versions = {0};
    nvl_autofree char *real = NULL;
    enum nvl_elf_class elf = NVL_ELF_OTHER;

    if (nvl_root_resolve(root, path, &real) < 0 || has_dir(us, real) || nvl_root_list(root, real, &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        const char *version = version_of(names.items[i]);
        if (version == NULL)
            continue;
        if (elf == NVL_ELF_OTHER)
            elf = class_of_file(root, real, names.items[i]);
        nvl_strv_push_once(&versions, version);
    }
    if (versions.count == 0)
        return;
    if (elf == NVL_ELF_OTHER)
        elf = expected != NVL_ELF_OTHER ? expected : class_by_name(us, real);
    sort_versions(&versions);
    if (elf == NVL_ELF_64)
        note_versions(us, &names);
    for (size_t i = 0; i < versions.count; i++) {
        struct nvl_library_dir *dir = NVL_APPEND(us->dirs, us->n_dirs);
        dir->path = nvl_xstrdup(real);
        dir->elf = elf;
        nvl_copy(dir->version, sizeof dir->version, versions.items[i], strlen(versions.items[i]));
        if (i + 1 == versions.count) {
            dir->names = names;
            names = (struct nvl_strv){0};
        }
        for (size_t n = 0; n < names.count; n++)
            nvl_strv_push(&dir->names, names.items[n]);
    }
}

static void add_folder_of(const struct nvl_root *root, struct nvl_userspace *us, const char *file,
                          enum nvl_elf_class elf)
{
    const char *slash = strrchr(file, '/');

    if (slash == NULL || slash == file)
        return;
    nvl_autofree char *dir = nvl_xstrndup(file, (size_t)(slash - file));
    add_folder(root, us, dir, elf);
}

/* The folder of the real file first, then the one that the cache names: on Debian they differ, and contain
 * different libraries. */
static void add_cached(const struct nvl_root *root, struct nvl_userspace *us, const struct nvl_ldcache *cache)
{
    static const enum nvl_elf_class classes[] = {NVL_ELF_64, NVL_ELF_32};
    static const char *const sonames[] = {"libcuda.so.1", "libnvidia-ml.so.1"};

    for (size_t c = 0; c < NVL_LENGTH(classes); c++)
        for (size_t s = 0; s < NVL_LENGTH(sonames); s++) {
            const char *path = nvl_ldcache_find(cache, classes[c], sonames[s]);
            nvl_autofree char *real = NULL;
            if (path == NULL)
                continue;
            if (nvl_root_resolve(root, path, &real) == 0)
                add_folder_of(root, us, real, classes[c]);
            add_folder_of(root, us, path, classes[c]);
        }
}

/* Each folder whose path begins like the pattern, up to its '*'. */
static void add_matching(const struct nvl_root *root, struct nvl_userspace *us, const char *pattern,
                         enum nvl_elf_class elf)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    const char *last = strrchr(pattern, '/') + 1;
    nvl_autofree char *parent = nvl_xstrndup(pattern, (size_t)(last - pattern));
    nvl_autofree char *prefix = nvl_xstrndup(last, strlen(last) - 1);

    if (nvl_root_list(root, parent, &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s%s", parent, names.items[i]);
        if (nvl_has_prefix(names.items[i], prefix))
            add_folder(root, us, path, elf);
    }
}

int nvl_userspace_read(const struct nvl_root *root, struct nvl_userspace *us, struct nvl_error *err)
{
    nvl_auto(nvl_ldcache_clear) struct nvl_ldcache cache = {0};

    *us = (struct nvl_userspace){0};
    int r = nvl_ldcache_read(&cache, root);
    if (r == -EACCES || r == -EPERM)
        return nvl_error_errno(err, r, "cannot read %s/etc/ld.so.cache", root->name);
    /* A cache that is broken or not glibc's tells nothing; the folders still do. */
    if (r == 0)
        add_cached(root, us, &cache);
    for (size_t i = 0; i < NVL_LENGTH(known); i++)
        if (nvl_has_suffix(known[i].path, "*"))
            add_matching(root, us, known[i].path, known[i].elf);
        else
            add_folder(root, us, known[i].path, known[i].elf);
    sort_versions(&us->versions);
    return 0;
}

void nvl_userspace_clear(struct nvl_userspace *us)
{
    for (size_t i = 0; i < us->n_dirs; i++) {
        free(us->dirs[i].path);
        nvl_strv_clear(&us->dirs[i].names);
    }
    free(us->dirs);
    nvl_strv_clear(&us->versions);
    *us = (struct nvl_userspace){0};
}
