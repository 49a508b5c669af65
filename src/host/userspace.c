/* Finds the driver's libraries on the host. The linker cache tells what programs load today; the known
 * folders find what no cache names: Debian's nvidia/current behind its alternatives, a private prefix, a
 * driver container's tree. */
#include "host/userspace.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/machine.h"
#include "base/root.h"
#include "host/driver_folder.h"

/* A folder that may contain libraries, and the class that they have if none of them tells it itself. */
struct candidate {
    const char *path; /* '*' in it stands for any name or part of one, '@' for the machine's multiarch name */
    enum nvl_elf_class elf;
};

/* 64 before 32: the lib64 beside a plain `lib` tells whether that is a
 * 32-bit folder. */
static const struct candidate known[] = {
    {"/usr/lib/@/nvidia/*", NVL_ELF_64},
    {"/usr/lib/@", NVL_ELF_64},
    {"/usr/lib64", NVL_ELF_64},
    {"/usr/lib64/nvidia", NVL_ELF_64},
    {"/usr/lib/nvidia-*", NVL_ELF_64},
    {"/usr/local/lib/@", NVL_ELF_64},
    {"/usr/lib/i386-linux-gnu/nvidia/*", NVL_ELF_32},
    {"/usr/lib/i386-linux-gnu", NVL_ELF_32},
    {"/usr/lib/arm-linux-gnueabihf", NVL_ELF_32},
    {"/usr/lib32", NVL_ELF_32},
    {"/usr/lib32/nvidia-*", NVL_ELF_32},
    {"/usr/lib", NVL_ELF_OTHER},
};

/* Folders that contain a driver as /usr does, or as one folder of libraries. */
static const char *const prefixes[] = {
    "/usr/local/nvidia",
    "/opt/nvidia",
    "/opt/nvidia/*",   /* by version */
    "/opt/nvidia/*/*", /* by version, and by release of Flatcar */
    "/run/nvidia/driver",
    "/run/opengl-driver",          /* NixOS */
    "/run/opengl-driver-32",       /* its 32-bit libraries */
    "/home/kubernetes/bin/nvidia", /* Google's nodes */
    "/usr/local/glibc",            /* Talos */
};

/* Where the libraries are in a prefix; "" for itself. */
static const struct candidate inside[] = {
    {"", NVL_ELF_OTHER},
    {"/lib64", NVL_ELF_64},
    {"/usr/lib64", NVL_ELF_64},
    {"/usr/lib/@/nvidia/*", NVL_ELF_64},
    {"/usr/lib/@", NVL_ELF_64},
    {"/lib/@", NVL_ELF_64},
    {"/32", NVL_ELF_32}, /* of an extracted .run file */
    {"/lib32", NVL_ELF_32},
    {"/usr/lib32", NVL_ELF_32},
    {"/usr/lib/i386-linux-gnu", NVL_ELF_32},
    {"/lib", NVL_ELF_OTHER},
    {"/usr/lib", NVL_ELF_OTHER},
};

/* Of a library that is a part of the driver. Those of nvidia-settings may have another version. */
static const char *version_of(const char *name)
{
    if (!nvl_has_prefix(name, "libcuda.so.") && !nvl_has_prefix(name, "libnvidia-"))
        return NULL;
    if (nvl_has_prefix(name, "libnvidia-gtk") || nvl_has_prefix(name, "libnvidia-wayland-client"))
        return NULL;
    return nvl_name_version(name);
}

enum nvl_elf_class nvl_library_class(const struct nvl_root *root, const char *path, unsigned *machine)
{
    nvl_autofd int fd = nvl_root_openat(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    unsigned char head[20];
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return NVL_ELF_OTHER;
    ssize_t n = read(fd, head, sizeof head);
    if (n < 0)
        nvl_root_note(root, path, -errno);
    if (n != sizeof head || memcmp(head, ELFMAG, SELFMAG) != 0)
        return NVL_ELF_OTHER;
    if (machine != NULL)
        *machine = head[18] | (unsigned)head[19] << 8;
    return head[EI_CLASS] == ELFCLASS64   ? NVL_ELF_64
           : head[EI_CLASS] == ELFCLASS32 ? NVL_ELF_32
                                          : NVL_ELF_OTHER;
}

/* Debian has libraries of several architectures side by side. */
static bool belongs_to_machine(enum nvl_elf_class elf, unsigned machine)
{
    return machine == EM_NONE || machine == (elf == NVL_ELF_64 ? nvl_machine()->elf : nvl_machine()->elf_32);
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
    unsigned machine = EM_NONE;

    if (nvl_root_resolve(root, path, &real) < 0 || has_dir(us, real) || nvl_root_list(root, real, &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        const char *version = version_of(names.items[i]);
        if (version == NULL)
            continue;
        nvl_autofree char *file = nvl_xasprintf("%s/%s", real, names.items[i]);
        if (elf == NVL_ELF_OTHER)
            elf = nvl_library_class(root, file, &machine);
        nvl_strv_push_once(&versions, version);
    }
    if (versions.count == 0 || !belongs_to_machine(elf, machine))
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

/* Calls `take` for each folder that `base`, and behind it the pattern, stands for. A folder may have any
 * name: only the pattern's stars count. */
static void each_below(const struct nvl_root *root, const char *base, const char *pattern,
                       void (*take)(const struct nvl_root *root, struct nvl_userspace *us, const char *path,
                                    enum nvl_elf_class elf),
                       struct nvl_userspace *us, enum nvl_elf_class elf)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    const char *star = strchr(pattern, '*'), *at = strchr(pattern, '@');

    if (at != NULL) {
        nvl_autofree char *named =
            nvl_xasprintf("%.*s%s%s", (int)(at - pattern), pattern, nvl_machine()->multiarch, at + 1);
        each_below(root, base, named, take, us, elf);
        return;
    }
    if (star == NULL) {
        nvl_autofree char *path = nvl_xasprintf("%s%s", base, pattern);
        take(root, us, path, elf);
        return;
    }
    const char *first = star, *rest = star + strcspn(star, "/");
    while (first > pattern && first[-1] != '/')
        first--;
    nvl_autofree char *parent = nvl_xasprintf("%s%.*s", base, (int)(first - pattern), pattern);
    nvl_autofree char *wanted = nvl_xstrndup(first, (size_t)(rest - first));
    if (nvl_root_list(root, parent, &names) < 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s%s", parent, names.items[i]);
        if (fnmatch(wanted, names.items[i], FNM_PERIOD) == 0)
            each_below(root, path, rest, take, us, elf);
    }
}

static void add_prefix(const struct nvl_root *root, struct nvl_userspace *us, const char *prefix,
                       enum nvl_elf_class elf)
{
    struct stat st;

    (void)elf;
    if (nvl_root_stat(root, prefix, 0, &st) < 0 || !S_ISDIR(st.st_mode))
        return;
    for (size_t i = 0; i < NVL_LENGTH(inside); i++) {
        each_below(root, prefix, inside[i].path, add_folder, us, inside[i].elf);
    }
}

static bool names_end_with(const struct nvl_strv *names, const char *prefix, const char *version)
{
    nvl_autofree char *suffix = nvl_xasprintf("-%s", version);

    for (size_t i = 0; i < names->count; i++)
        if (nvl_has_prefix(names->items[i], prefix) && nvl_has_suffix(names->items[i], suffix))
            return true;
    return false;
}

/* Whether a kernel module of this version is loaded, or dkms builds it. */
static bool has_module(const struct nvl_root *root, const struct nvl_driver_version *loaded,
                       const struct nvl_strv *sources, const struct nvl_strv *built, const char *version)
{
    if (strcmp(loaded->version, version) == 0 || names_end_with(sources, "nvidia-", version))
        return true;
    for (size_t i = 0; i < built->count; i++) {
        nvl_autofree char *path = nvl_xasprintf("/var/lib/dkms/%s/%s", built->items[i], version);
        if (nvl_has_prefix(built->items[i], "nvidia") && nvl_root_exists(root, path))
            return true;
    }
    return false;
}

/* Libraries of several versions lie side by side: where the module of one of them is known by its source,
 * those without any are what an installation left that was replaced, but not removed. Without such knowledge
 * (a module of the distribution's own) all versions count. */
static void part_remnants(const struct nvl_root *root, struct nvl_userspace *us)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv sources = {0}, built = {0};
    const struct nvl_driver_version none = {0};
    struct nvl_driver_version loaded;
    struct nvl_strv counting = {0};
    bool is_one_known = false;

    if (us->versions.count < 2 || nvl_driver_version_read(root, &loaded, NULL) < 0)
        return;
    nvl_root_list(root, "/usr/src", &sources);
    nvl_root_list(root, "/var/lib/dkms", &built);
    for (size_t i = 0; i < us->versions.count; i++)
        is_one_known |= has_module(root, &none, &sources, &built, us->versions.items[i]);
    for (size_t i = 0; i < us->versions.count; i++) {
        const char *version = us->versions.items[i];
        bool counts = !is_one_known || has_module(root, &loaded, &sources, &built, version) ||
                      nvl_userspace_is_from(us, version);
        nvl_strv_push(counts ? &counting : &us->remnants, version);
    }
    nvl_strv_clear(&us->versions);
    us->versions = counting;
}

bool nvl_userspace_is_from(const struct nvl_userspace *us, const char *version)
{
    for (size_t i = 0; i < us->n_dirs; i++)
        if (us->dirs[i].is_from && (version == NULL || strcmp(us->dirs[i].version, version) == 0))
            return true;
    return false;
}

int nvl_userspace_read_from(const struct nvl_root *root, const char *from, struct nvl_userspace *us,
                            struct nvl_error *err)
{
    nvl_auto(nvl_ldcache_clear) struct nvl_ldcache cache = {0};

    *us = (struct nvl_userspace){0};
    int r = nvl_ldcache_read(&cache, root);
    if (r == -EACCES || r == -EPERM)
        return nvl_error_errno(err, r, "cannot read %s/etc/ld.so.cache", root->name);
    us->from = from == NULL ? nvl_driver_folder(root) : from[0] != '\0' ? nvl_xstrdup(from) : NULL;
    if (us->from != NULL)
        add_prefix(root, us, us->from, NVL_ELF_OTHER);
    for (size_t i = 0; i < us->n_dirs; i++)
        us->dirs[i].is_from = true;
    /* A cache that is broken or not glibc's tells nothing; the folders still do. */
    if (r == 0)
        add_cached(root, us, &cache);
    for (size_t i = 0; i < NVL_LENGTH(known); i++)
        each_below(root, "", known[i].path, add_folder, us, known[i].elf);
    for (size_t i = 0; i < NVL_LENGTH(prefixes); i++)
        each_below(root, "", prefixes[i], add_prefix, us, NVL_ELF_OTHER);
    sort_versions(&us->versions);
    part_remnants(root, us);
    return 0;
}

int nvl_userspace_read(const struct nvl_root *root, struct nvl_userspace *us, struct nvl_error *err)
{
    return nvl_userspace_read_from(root, NULL, us, err);
}

void nvl_userspace_clear(struct nvl_userspace *us)
{
    for (size_t i = 0; i < us->n_dirs; i++) {
        free(us->dirs[i].path);
        nvl_strv_clear(&us->dirs[i].names);
    }
    free(us->dirs);
    free(us->from);
    nvl_strv_clear(&us->versions);
    nvl_strv_clear(&us->remnants);
    *us = (struct nvl_userspace){0};
}
