/* Searches each entry of the catalog in the folders of the version and in the folders that belong to them. */
#include "bundle/select.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/paths.h"
#include "bundle/catalog.h"
#include "bundle/manifest.h"
#include "bundle/version_match.h"
#include "grant/grant.h"
#include "host/userspace.h"

#define MANY 5 /* names in one line */

/* What a bundle should contain and the host does not have. */
enum absence {
    PRESENT,
    ABSENT,       /* not installed */
    OTHER_VERSION /* installed, but not of the bundle's version, as far as nvlxc can tell */
};

struct chooser {
    const struct nvl_root *root;
    const struct nvl_userspace *us;
    const char *version;
    const struct nvl_manifest *known;
    struct nvl_manifest *chosen;
    char **sources;         /* for each entry of the catalog: the chosen 64-bit file; the manifest's */
    enum absence *absences; /* for each entry */
    bool is_main;           /* findings count for these two; not for 32-bit libraries, which are an extra */
    struct nvl_strv places; /* the folders that programs and data may be in, nearest to the libraries first */
};

static bool is_one_version(const struct chooser *c)
{
    return c->us->versions.count == 1 && strcmp(c->us->versions.items[0], c->version) == 0;
}

static bool dir_counts(const struct chooser *c, const struct nvl_library_dir *dir, enum nvl_elf_class elf)
{
    return dir->elf == elf && strcmp(dir->version, c->version) == 0 &&
           !nvl_has_prefix(dir->path, NVL_BUNDLE_DIR "/"); /* a bundle is no source of one */
}

/* The regular file behind `path`; a bundle's file without its place in the bundle. */
static bool inspect_file(const struct chooser *c, const char *path, struct nvl_bundle_file *file)
{
    struct stat st;
    char *real;

    if (nvl_root_resolve_stat(c->root, path, &real, &st) < 0)
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

/* A file that is already in the bundle was examined before. */
static bool is_in_manifest(const struct chooser *c, const char *path, const struct nvl_bundle_file *file)
{
    const struct nvl_bundle_file *known = nvl_manifest_find(c->known, path);

    return known != NULL && nvl_bundle_file_same(known, file);
}

static bool content_says(const struct chooser *c, const char *path, const struct nvl_bundle_file *file)
{
    return is_in_manifest(c, path, file) || nvl_content_has_version(c->root, file->source, c->version) == 1;
}

static void take_file(struct chooser *c, size_t entry, const char *path, struct nvl_bundle_file *file)
{
    struct nvl_bundle_file *chosen = nvl_manifest_add(c->chosen, path);

    chosen->source = TAKE_PTR(file->source);
    chosen->size = file->size;
    chosen->mtime = file->mtime;
    if (c->is_main) {
        c->sources[entry] = chosen->source;
        c->absences[entry] = PRESENT;
    }
}

static void refuse_file(struct chooser *c, size_t entry)
{
    if (c->is_main)
        c->absences[entry] = OTHER_VERSION;
}

/* "libcuda.so.1" and "libnvidia-glcore.so" are libcuda.so.V and libnvidia-glcore.so.V. */
static char *versioned_name(const char *name, const char *version)
{
    const char *so = strstr(name, ".so");

    return nvl_xasprintf("%.*s.%s", (int)(so + 3 - name), name, version);
}

/* Whether the folder of libraries counts, and may have the file: most of the catalog is in none of them.
 * Files in subfolders ("vdpau/…") are not in its list. */
static bool dir_may_have(const struct chooser *c, size_t dir, enum nvl_elf_class elf, const char *name)
{
    return dir_counts(c, &c->us->dirs[dir], elf) &&
           (strchr(name, '/') != NULL || nvl_strv_sorted_contains(&c->us->dirs[dir].names, name));
}

/* A library at `path`: by the version in its real name, else by its content. */
static bool try_library(struct chooser *c, size_t entry, const char *path, const char *place)
{
    struct nvl_bundle_file file;

    if (!inspect_file(c, path, &file))
        return false;
    const char *said = nvl_name_version(strrchr(file.source, '/') + 1);
    bool fits = said != NULL ? strcmp(said, c->version) == 0 : content_says(c, place, &file);
    if (fits)
        take_file(c, entry, place, &file);
    else
        refuse_file(c, entry);
    free(file.source);
    return fits;
}

static void choose_library(struct chooser *c, size_t entry, enum nvl_elf_class elf)
{
    const char *name = nvl_catalog[entry].name, *folder = elf == NVL_ELF_64 ? "lib64" : "lib32";
    const char *slash = strrchr(name, '/'), *plain = slash != NULL ? slash + 1 : name;
    nvl_autofree char *versioned = versioned_name(name, c->version);
    nvl_autofree char *versioned_plain = versioned_name(plain, c->version);
    nvl_autofree char *place = nvl_xasprintf("%s/%s", folder, versioned);
    /* Debian has vdpau's beside the others */
    const char *const names[] = {versioned, versioned_plain, name, plain};

    for (size_t n = 0; n < NVL_LENGTH(names); n++)
        for (size_t i = 0; i < c->us->n_dirs; i++) {
            nvl_autofree char *path = nvl_xasprintf("%s/%s", c->us->dirs[i].path, names[n]);
            if (dir_may_have(c, i, elf, names[n]) && try_library(c, entry, path, place))
                return;
        }
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
static bool dir_is_pure(const struct chooser *c, const char *dir, size_t len)
{
    size_t count = 0;

    for (size_t i = 0; i < c->us->n_dirs; i++)
        count += strlen(c->us->dirs[i].path) == len && memcmp(c->us->dirs[i].path, dir, len) == 0;
    return count <= 1;
}

/* A file without a version of its own goes with the file that vouches for it. */
static bool is_vouched(const struct chooser *c, size_t entry, const struct nvl_bundle_file *file)
{
    size_t voucher = voucher_of(entry);
    const char *source = c->sources[voucher];

    if (source == NULL)
        return false;
    if (is_one_version(c))
        return true;
    size_t dir_len = (size_t)(strrchr(source, '/') - source);
    if (strncmp(file->source, source, dir_len + 1) == 0 && dir_is_pure(c, source, dir_len))
        return true;
    if (nvl_catalog[entry].kind == NVL_FILE_PROGRAM)
        return nvl_same_installation(file->source, source);
    return nvl_text_names(c->root, file->source, nvl_catalog[voucher].name);
}

static bool try_data(struct chooser *c, size_t entry, const char *path, const char *place)
{
    struct nvl_bundle_file file;

    if (!inspect_file(c, path, &file))
        return false;
    bool fits = nvl_catalog[entry].with != NULL
                    ? is_in_manifest(c, place, &file) || is_vouched(c, entry, &file)
                    : content_says(c, place, &file);
    if (fits)
        take_file(c, entry, place, &file);
    else
        refuse_file(c, entry);
    free(file.source);
    return fits;
}

/* Programs and data are in a prefix of their libraries: /usr of /usr/lib/x86_64-linux-gnu, /usr/local/nvidia
 * of /usr/local/nvidia/lib64. The nearest one first, up to the root. */
static void add_prefixes_above(struct nvl_strv *prefixes, const char *dir)
{
    nvl_autofree char *prefix = nvl_xstrdup(dir);

    for (;;) {
        nvl_strv_push_once(prefixes, prefix);
        char *slash = strrchr(prefix, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

/* Those folders of the prefixes that exist: each is checked once, not once for each file. */
static void find_data_places(struct chooser *c)
{
    static const char *const folders[] = {"bin", "sbin", "share", "etc"};
    nvl_auto(nvl_strv_clear) struct nvl_strv prefixes = {0}, met = {0};
    struct stat st;

    for (size_t i = 0; i < c->us->n_dirs; i++)
        if (dir_counts(c, &c->us->dirs[i], NVL_ELF_64))
            add_prefixes_above(&prefixes, c->us->dirs[i].path);
    add_prefixes_above(&prefixes, "/usr/local");
    for (size_t i = 0; i < prefixes.count; i++)
        for (size_t n = 0; n < NVL_LENGTH(folders); n++) {
            nvl_autofree char *place = nvl_xasprintf("%s/%s", prefixes.items[i], folders[n]);
            if (nvl_root_stat(c->root, place, 0, &st) == 0 && !nvl_is_met_again(&met, &st))
                nvl_strv_push(&c->places, place);
        }
}

/* Tries "PLACE/tail" in the places with that ending. */
static bool try_places(struct chooser *c, size_t entry, const char *folder, const char *other,
                       const char *tail, const char *place)
{
    for (size_t i = 0; i < c->places.count; i++) {
        nvl_autofree char *path = nvl_xasprintf("%s/%s", c->places.items[i], tail);
        if ((nvl_has_suffix(c->places.items[i], folder) || nvl_has_suffix(c->places.items[i], other)) &&
            try_data(c, entry, path, place))
            return true;
    }
    return false;
}

static void choose_program(struct chooser *c, size_t entry)
{
    const char *name = nvl_catalog[entry].name;
    nvl_autofree char *place = nvl_xasprintf("bin/%s", name);

    try_places(c, entry, "/bin", "/sbin", name, place);
}

/* Some data are beside the libraries; the rest in share or etc, depending on the distribution. */
static void choose_data(struct chooser *c, size_t entry)
{
    const char *place = nvl_catalog[entry].name;
    const char *tail = strchr(place, '/') + 1, *plain = strrchr(place, '/') + 1;
    const char *const names[] = {tail, plain};

    for (size_t i = 0; i < c->us->n_dirs; i++)
        for (size_t n = 0; n < NVL_LENGTH(names); n++) {
            nvl_autofree char *path = nvl_xasprintf("%s/%s", c->us->dirs[i].path, names[n]);
            if (dir_may_have(c, i, NVL_ELF_64, names[n]) && try_data(c, entry, path, place))
                return;
        }
    try_places(c, entry, "/share", "/etc", tail, place);
}

/* A link of the host that leads to the library in question becomes one in the bundle. */
static void choose_link(struct chooser *c, size_t entry, enum nvl_elf_class elf)
{
    const char *name = nvl_catalog[entry].name, *folder = elf == NVL_ELF_64 ? "lib64" : "lib32";
    nvl_autofree char *library = versioned_name(nvl_catalog[entry].with, c->version);
    nvl_autofree char *library_place = nvl_xasprintf("%s/%s", folder, library);
    const char *const names[] = {name, strrchr(name, '/') + 1};

    if (nvl_manifest_find(c->chosen, library_place) == NULL)
        return;
    for (size_t n = 0; n < NVL_LENGTH(names); n++)
        for (size_t i = 0; i < c->us->n_dirs; i++) {
            nvl_autofree char *path = nvl_xasprintf("%s/%s", c->us->dirs[i].path, names[n]);
            nvl_autofree char *real = NULL;
            if (!dir_may_have(c, i, elf, names[n]) || nvl_root_resolve(c->root, path, &real) < 0 ||
                strcmp(strrchr(real, '/') + 1, library) != 0)
                continue;
            nvl_autofree char *place = nvl_xasprintf("%s/%s", folder, name);
            nvl_autofree char *target = nvl_xasprintf("../%s", library);
            nvl_manifest_add_link(c->chosen, place, target);
            return;
        }
}

static void choose_entries(struct chooser *c)
{
    for (size_t i = 0; i < nvl_catalog_length; i++) {
        const struct nvl_catalog_file *entry = &nvl_catalog[i];
        c->is_main = true;
        if (entry->kind == NVL_FILE_PROGRAM)
            choose_program(c, i);
        else if (entry->kind == NVL_FILE_DATA)
            choose_data(c, i);
        else if (entry->kind == NVL_FILE_LINK)
            choose_link(c, i, NVL_ELF_64);
        else
            choose_library(c, i, NVL_ELF_64);
        c->is_main = false;
        if (entry->kind == NVL_FILE_LIBRARY)
            choose_library(c, i, NVL_ELF_32);
        else if (entry->kind == NVL_FILE_LINK)
            choose_link(c, i, NVL_ELF_32);
    }
}

/* Either of the two makes it a driver. */
static bool has_core_library(const struct nvl_manifest *chosen, const char *version)
{
    nvl_autofree char *cuda = nvl_xasprintf("lib64/libcuda.so.%s", version);
    nvl_autofree char *ml = nvl_xasprintf("lib64/libnvidia-ml.so.%s", version);

    return nvl_manifest_find(chosen, cuda) != NULL || nvl_manifest_find(chosen, ml) != NULL;
}

static const char *short_catalog_name(const struct nvl_catalog_file *entry)
{
    const char *slash = strrchr(entry->name, '/');

    return slash != NULL ? slash + 1 : entry->name;
}

static void report_absences(const enum absence *absences, unsigned capability, enum absence kind,
                            const char *version, struct nvl_missing *missing)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct nvl_missing_files m = {.capability = capability};
    size_t n_expected = 0;

    for (size_t i = 0; i < nvl_catalog_length; i++) {
        const struct nvl_catalog_file *entry = &nvl_catalog[i];
        bool counts = entry->capability == capability && entry->expected;
        n_expected += counts;
        if (!counts || absences[i] != kind)
            continue;
        nvl_strv_push(&names, short_catalog_name(entry));
        if (entry->package != NULL)
            nvl_strv_push_once(&m.packages, entry->package);
    }
    if (names.count == 0)
        return;
    nvl_autofree char *word = nvl_capabilities_format(capability);
    nvl_autofree char *list = nvl_strv_join(&names, ", ");
    const char *verb = names.count > 1 ? "are" : "is";
    /* a host without a screen has no graphics at all: a dozen names would tell no more */
    if (names.count == n_expected && n_expected > MANY)
        m.text = nvl_xasprintf("%s: none of its %zu files is installed%s%s", word, n_expected,
                               kind == ABSENT ? "" : " in version ", kind == ABSENT ? "" : version);
    else if (kind == ABSENT)
        m.text = nvl_xasprintf("%s: %s %s not installed", word, list, verb);
    else
        m.text = nvl_xasprintf("%s: %s %s installed, but not of %s", word, list, verb, version);
    *NVL_APPEND(missing->items, missing->count) = m;
}

/* By capability, of those entries of the catalog that are expected. */
static void report_missing(const enum absence *absences, const char *version, struct nvl_missing *missing)
{
    for (unsigned bit = 1; bit <= NVL_CAP_ALL; bit <<= 1) {
        report_absences(absences, bit, ABSENT, version, missing);
        report_absences(absences, bit, OTHER_VERSION, version, missing);
    }
}

void nvl_missing_clear(struct nvl_missing *missing)
{
    for (size_t i = 0; i < missing->count; i++) {
        free(missing->items[i].text);
        nvl_strv_clear(&missing->items[i].packages);
    }
    free(missing->items);
    *missing = (struct nvl_missing){0};
}

int nvl_select_files(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                     const struct nvl_manifest *known, struct nvl_manifest *chosen,
                     struct nvl_missing *missing, struct nvl_error *err)
{
    nvl_autofree char **sources = nvl_xcalloc(nvl_catalog_length, sizeof *sources);
    nvl_autofree enum absence *absences = nvl_xcalloc(nvl_catalog_length, sizeof *absences);
    struct chooser c = {.root = root,
                        .us = us,
                        .version = version,
                        .known = known,
                        .chosen = chosen,
                        .sources = sources,
                        .absences = absences};

    *chosen = (struct nvl_manifest){0};
    nvl_copy(chosen->version, sizeof chosen->version, version, strlen(version));
    for (size_t i = 0; i < nvl_catalog_length; i++)
        absences[i] = ABSENT;
    find_data_places(&c);
    choose_entries(&c);
    nvl_strv_clear(&c.places);
    if (!has_core_library(chosen, version)) {
        nvl_manifest_clear(chosen);
        nvl_error_set(err, -ENOENT, "libcuda and libnvidia-ml of driver %s are not installed", version);
        nvl_error_hint(
            err, "install that version's user-space, or boot into the driver whose files are installed");
        return -ENOENT;
    }
    nvl_manifest_sort(chosen);
    report_missing(absences, version, missing);
    return 0;
}

int nvl_bundle_lacks(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                     struct nvl_missing *missing, struct nvl_error *err)
{
    nvl_auto(nvl_manifest_clear) struct nvl_manifest found = {0}, m = {0};

    nvl_manifest_read(root, version, &found); /* an empty one means that every file is examined */
    return nvl_select_files(root, us, version, &found, &m, missing, err);
}
