/* Searches each entry of the catalog in the folders of the version and in the folders that belong to them. */
#include "bundle/search.h"

#include <elf.h>
#include <sys/stat.h>

#include "base/machine.h"
#include "base/paths.h"
#include "base/root.h"
#include "bundle/catalog.h"
#include "bundle/version_match.h"
#include "host/userspace.h"

bool nvl_search_counts(const struct nvl_search *s, size_t dir, enum nvl_elf_class elf)
{
    const struct nvl_library_dir *d = &s->us->dirs[dir];

    return d->elf == elf && strcmp(d->version, s->version) == 0 &&
           !nvl_has_prefix(d->path, NVL_BUNDLE_DIR "/"); /* a bundle is no source of one */
}

/* Then whatever is installed belongs to that version. */
static bool is_one_version(const struct nvl_search *s)
{
    for (size_t i = 0; i < s->us->n_dirs; i++)
        if (strcmp(s->us->dirs[i].version, s->version) != 0 &&
            !nvl_has_prefix(s->us->dirs[i].path, NVL_BUNDLE_DIR "/"))
            return false;
    return true;
}

bool nvl_search_inspect(const struct nvl_search *s, const char *path, struct nvl_bundle_file *file)
{
    struct stat st;
    char *real;

    if (nvl_root_resolve_stat(s->root, path, &real, &st) < 0)
        return false;
    if (!S_ISREG(st.st_mode)) {
        free(real);
        return false;
    }
    *file = (struct nvl_bundle_file){.source = real,
                                     .size = (uint64_t)st.st_size,
                                     .mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
    return true;
}

bool nvl_search_knows(const struct nvl_search *s, const char *place, const struct nvl_bundle_file *file)
{
    const struct nvl_bundle_file *known = nvl_manifest_find(s->known, place);

    return known != NULL && nvl_bundle_file_same(known, file);
}

static bool content_says(const struct nvl_search *s, const char *place, const struct nvl_bundle_file *file)
{
    return nvl_search_knows(s, place, file) ||
           nvl_content_has_version(s->root, file->source, s->version) == 1;
}

const char *nvl_search_take(struct nvl_search *s, const char *place, struct nvl_bundle_file *file)
{
    struct nvl_bundle_file *chosen = nvl_manifest_add(s->chosen, place);

    free(chosen->source);
    chosen->source = TAKE_PTR(file->source);
    chosen->size = file->size;
    chosen->mtime = file->mtime;
    return chosen->source;
}

/* Notes what became of the file of this entry, and takes it over. */
static bool judge(struct nvl_search *s, size_t entry, const char *place, struct nvl_bundle_file *file,
                  bool fits)
{
    const char *source = fits ? nvl_search_take(s, place, file) : NULL;

    if (s->is_main) {
        s->absences[entry] = fits ? NVL_PRESENT : NVL_OTHER_VERSION;
        s->sources[entry] = source;
    }
    free(file->source);
    return fits;
}

/* "libcuda.so.1" and "libnvidia-glcore.so" are libcuda.so.V and libnvidia-glcore.so.V. */
static char *versioned_name(const char *name, const char *version)
{
    const char *so = strstr(name, ".so");

    return nvl_xasprintf("%.*s.%s", (int)(so + 3 - name), name, version);
}

static const char *plain_name(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash != NULL ? slash + 1 : name;
}

/* Whether the folder of libraries counts, and may have the file: most of the catalog is in none of them.
 * Files in subfolders ("vdpau/…") are not in its list. */
static bool dir_may_have(const struct nvl_search *s, size_t dir, enum nvl_elf_class elf, const char *name)
{
    return nvl_search_counts(s, dir, elf) &&
           (strchr(name, '/') != NULL || nvl_strv_sorted_contains(&s->us->dirs[dir].names, name));
}

/* The entry of the catalog that vouches for another. */
static size_t voucher_of(size_t entry)
{
    for (size_t i = 0; i < nvl_catalog_length; i++)
        if (strcmp(nvl_catalog[i].name, nvl_catalog[entry].with) == 0)
            return i;
    return entry;
}

/* Whether a folder of libraries contains only this version. */
static bool dir_is_pure(const struct nvl_search *s, const char *dir, size_t len)
{
    size_t count = 0;

    for (size_t i = 0; i < s->us->n_dirs; i++)
        count += strlen(s->us->dirs[i].path) == len && memcmp(s->us->dirs[i].path, dir, len) == 0;
    return count <= 1;
}

/* A file without a version of its own goes with the file that vouches for it. */
static bool is_vouched(const struct nvl_search *s, size_t entry, const struct nvl_bundle_file *file)
{
    size_t voucher = voucher_of(entry);
    const char *source = s->sources[voucher];

    if (source == NULL)
        return false;
    if (is_one_version(s))
        return true;
    size_t dir_len = (size_t)(strrchr(source, '/') - source);
    if (strncmp(file->source, source, dir_len + 1) == 0 && strchr(file->source + dir_len + 1, '/') == NULL &&
        dir_is_pure(s, source, dir_len))
        return true;
    if (nvl_catalog[entry].kind == NVL_FILE_PROGRAM)
        return nvl_same_installation(file->source, source);
    return nvl_catalog[entry].kind == NVL_FILE_DATA &&
           nvl_text_names(s->root, file->source, nvl_catalog[voucher].name);
}

/* A library at `path`: by the version in its real name, else by its content, else by the one that vouches for
 * it. */
static bool try_library(struct nvl_search *s, size_t entry, const char *path, const char *place)
{
    struct nvl_bundle_file file;

    if (!nvl_search_inspect(s, path, &file))
        return false;
    const char *said = nvl_name_version(plain_name(file.source));
    bool fits = said != NULL ? strcmp(said, s->version) == 0
                             : content_says(s, place, &file) ||
                                   (nvl_catalog[entry].with != NULL && is_vouched(s, entry, &file));
    return judge(s, entry, place, &file, fits);
}

/* NVIDIA's own builds need nothing that a supported distribution's C library lacks; a distribution's build
 * needs its own, or newer. */
static bool try_platform(struct nvl_search *s, size_t entry, const char *path, const char *place)
{
    struct nvl_bundle_file file;

    if (!nvl_search_inspect(s, path, &file))
        return false;
    return judge(s, entry, place, &file,
                 nvl_search_knows(s, place, &file) || nvl_runs_with_any_libc(s->root, file.source));
}

/* "lib64/libnvidia-nvvm70.so.4" leads to the file at `place`. */
static void link_name(struct nvl_search *s, const char *place, const char *name)
{
    nvl_autofree char *link = nvl_xasprintf("%.*s%s", (int)(plain_name(place) - place), place, name);

    nvl_manifest_add_link(s->chosen, link, plain_name(place));
}

static void find_library(struct nvl_search *s, size_t entry, enum nvl_elf_class elf)
{
    const char *name = nvl_catalog[entry].name, *plain = plain_name(name);
    nvl_autofree char *versioned = versioned_name(name, s->version);
    nvl_autofree char *versioned_plain = versioned_name(plain, s->version);
    nvl_autofree char *place = nvl_xasprintf("%s/%s", elf == NVL_ELF_64 ? "lib64" : "lib32", versioned);
    /* Debian has vdpau's beside the others */
    const char *const names[] = {versioned, versioned_plain, name, plain};
    bool is_platform = nvl_catalog[entry].kind == NVL_FILE_PLATFORM;

    if (nvl_manifest_find(s->chosen, place) != NULL) { /* by another row for it */
        if (s->is_main)
            s->absences[entry] = NVL_PRESENT;
        return;
    }
    for (size_t n = is_platform ? 2 : 0; n < NVL_LENGTH(names); n++)
        for (size_t i = 0; i < s->us->n_dirs; i++) {
            nvl_autofree char *path = nvl_xasprintf("%s/%s", s->us->dirs[i].path, names[n]);
            if (!dir_may_have(s, i, elf, names[n]) ||
                !(is_platform ? try_platform : try_library)(s, entry, path, place))
                continue;
            if (nvl_catalog[entry].with != NULL) /* programs open it by this name, whatever its soname is */
                link_name(s, place, name);
            return;
        }
}

/* Whether the file belongs to a file that is not there: its own absence would tell no more. */
static bool lacks_voucher(const struct nvl_search *s, size_t entry)
{
    return nvl_catalog[entry].with != NULL && s->sources[voucher_of(entry)] == NULL;
}

static bool data_fits(const struct nvl_search *s, size_t entry, const char *place,
                      const struct nvl_bundle_file *file)
{
    if (nvl_catalog[entry].with == NULL)
        return content_says(s, place, file);
    return nvl_search_knows(s, place, file) || is_vouched(s, entry, file) ||
           strstr(plain_name(file->source), s->version) != NULL;
}

static bool try_data(struct nvl_search *s, size_t entry, const char *path, const char *place)
{
    struct nvl_bundle_file file;

    if (!nvl_search_inspect(s, path, &file))
        return false;
    bool fits = data_fits(s, entry, place, &file);
    if (!fits && lacks_voucher(s, entry)) {
        free(file.source);
        s->absences[entry] = NVL_PRESENT;
        return true;
    }
    return judge(s, entry, place, &file, fits);
}

typedef bool try_fn(struct nvl_search *s, size_t entry, const char *path, const char *place);

/* Tries "FOLDER/name" in each of the folders. */
static bool try_in(struct nvl_search *s, size_t entry, const struct nvl_strv *folders, const char *name,
                   const char *place, try_fn *try)
{
    for (size_t i = 0; i < folders->count; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", folders->items[i], name);
        if (try(s, entry, path, place))
            return true;
    }
    return false;
}

/* Tries it in the folders of 64-bit libraries: an extracted .run file has everything in one. */
static bool try_beside_libraries(struct nvl_search *s, size_t entry, const char *name, const char *place,
                                 try_fn *try)
{
    for (size_t i = 0; i < s->us->n_dirs; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", s->us->dirs[i].path, name);
        if (dir_may_have(s, i, NVL_ELF_64, name) && try(s, entry, path, place))
            return true;
    }
    return false;
}

static void find_program(struct nvl_search *s, size_t entry)
{
    const char *name = nvl_catalog[entry].name;
    nvl_autofree char *place = nvl_xasprintf("bin/%s", name);

    if (!try_in(s, entry, &s->programs, name, place, try_data))
        try_beside_libraries(s, entry, name, place, try_data);
}

static void find_module(struct nvl_search *s, size_t entry)
{
    const char *name = nvl_catalog[entry].name, *plain = plain_name(name);
    const char *below = name + strlen("xorg/modules/");
    nvl_autofree char *place = nvl_xasprintf("lib64/%s", name);
    nvl_autofree char *versioned = versioned_name(plain, s->version);
    const char *const names[] = {versioned, plain};

    if (try_in(s, entry, &s->modules, below, place, try_library))
        return;
    for (size_t n = 0; n < NVL_LENGTH(names); n++)
        if (try_in(s, entry, &s->modules, names[n], place, try_library) ||
            try_beside_libraries(s, entry, names[n], place, try_library))
            return;
}

/* What the host may call a file of data: as the catalog does; with the architecture, for 32-bit and 64-bit
 * ones side by side; with the driver's version. */
static void data_names(const struct nvl_search *s, const char *name, struct nvl_strv *names)
{
    const char *machine = nvl_machine()->kernel;
    size_t len = strlen(name);

    nvl_strv_push(names, name);
    if (nvl_has_suffix(name, ".json"))
        nvl_strv_pushf(names, "%.*s.%s.json", (int)(len - strlen(".json")), name, machine);
    if (nvl_has_suffix(name, "-rc"))
        nvl_strv_pushf(names, "%.*s-%s-rc", (int)(len - strlen("-rc")), name, s->version);
}

/* Some data are beside the libraries; the rest in share or etc, depending on the distribution. */
static void find_data(struct nvl_search *s, size_t entry)
{
    const char *place = nvl_catalog[entry].name;
    nvl_auto(nvl_strv_clear) struct nvl_strv tails = {0};

    if (lacks_voucher(s, entry) && !nvl_catalog[entry].expected)
        return; /* nothing would vouch for it, and nobody asks */
    data_names(s, strchr(place, '/') + 1, &tails);
    for (size_t n = 0; n < tails.count; n++)
        if (try_beside_libraries(s, entry, tails.items[n], place, try_data) ||
            try_beside_libraries(s, entry, plain_name(tails.items[n]), place, try_data) ||
            try_in(s, entry, &s->data, tails.items[n], place, try_data))
            return;
}

/* A link of the host that leads to the library in question becomes one in the bundle. */
static void find_link(struct nvl_search *s, size_t entry, enum nvl_elf_class elf)
{
    const char *name = nvl_catalog[entry].name, *folder = elf == NVL_ELF_64 ? "lib64" : "lib32";
    nvl_autofree char *library = versioned_name(nvl_catalog[entry].with, s->version);
    nvl_autofree char *library_place = nvl_xasprintf("%s/%s", folder, library);
    const char *const names[] = {name, plain_name(name)};

    if (nvl_manifest_find(s->chosen, library_place) == NULL)
        return;
    for (size_t n = 0; n < NVL_LENGTH(names); n++)
        for (size_t i = 0; i < s->us->n_dirs; i++) {
            nvl_autofree char *path = nvl_xasprintf("%s/%s", s->us->dirs[i].path, names[n]);
            nvl_autofree char *real = NULL;
            if (!dir_may_have(s, i, elf, names[n]) || nvl_root_resolve(s->root, path, &real) < 0 ||
                strcmp(plain_name(real), library) != 0)
                continue;
            nvl_autofree char *place = nvl_xasprintf("%s/%s", folder, name);
            nvl_autofree char *target = nvl_xasprintf("../%s", library);
            nvl_manifest_add_link(s->chosen, place, target);
            return;
        }
}

void nvl_search_entry(struct nvl_search *s, size_t entry)
{
    s->is_main = true;
    switch (nvl_catalog[entry].kind) {
    case NVL_FILE_PROGRAM:
        find_program(s, entry);
        break;
    case NVL_FILE_MODULE:
        find_module(s, entry);
        break;
    case NVL_FILE_DATA:
        find_data(s, entry);
        break;
    case NVL_FILE_LINK:
        find_link(s, entry, NVL_ELF_64);
        find_link(s, entry, NVL_ELF_32);
        break;
    case NVL_FILE_LIBRARY:
    case NVL_FILE_PLATFORM:
        find_library(s, entry, NVL_ELF_64);
        s->is_main = false;
        find_library(s, entry, NVL_ELF_32);
        break;
    }
}

void nvl_search_clear(struct nvl_search *s)
{
    nvl_strv_clear(&s->programs);
    nvl_strv_clear(&s->data);
    nvl_strv_clear(&s->modules);
}
