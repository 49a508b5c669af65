/* Takes the libraries of the driver's version that the catalog does not know: it ages, and a driver may come
 * with libraries that those of the catalog open. */
#include "bundle/unlisted.h"

#include "base/root.h"
#include "bundle/catalog.h"
#include "host/driver_version.h"
#include "host/userspace.h"

static bool is_candidate(const struct nvl_search *s, const char *name)
{
    const char *version = nvl_name_version(name);

    return nvl_has_prefix(name, "lib") && version != NULL && strcmp(version, s->version) == 0 &&
           !nvl_catalog_leaves_out(name);
}

/* The file itself may be damaged or something else entirely; then it is nobody's loss. */
static bool take_library(struct nvl_search *s, const char *path, const char *place, enum nvl_elf_class elf)
{
    struct nvl_bundle_file file;

    if (!nvl_search_inspect(s, path, &file))
        return false;
    const char *version = nvl_name_version(strrchr(file.source, '/') + 1);
    bool fits = version != NULL && strcmp(version, s->version) == 0 &&
                (nvl_search_knows(s, place, &file) || nvl_library_class(s->root, file.source, NULL) == elf);
    if (fits)
        nvl_search_take(s, place, &file);
    free(file.source);
    return fits;
}

/* Such a library may also be in the bundle for a row of the catalog that has it in a folder of its own
 * (vdpau). */
static bool is_chosen(const struct nvl_search *s, const char *folder, const char *name)
{
    for (size_t i = 0; i < s->chosen->n_files; i++) {
        const char *path = s->chosen->files[i].path;
        if (nvl_has_prefix(path, folder) && strcmp(strrchr(path, '/') + 1, name) == 0)
            return true;
    }
    return false;
}

static void take_unlisted_of(struct nvl_search *s, size_t dir, struct nvl_strv *names)
{
    const struct nvl_library_dir *d = &s->us->dirs[dir];
    const char *folder = d->elf == NVL_ELF_64 ? "lib64" : "lib32";

    for (size_t i = 0; i < d->names.count; i++) {
        const char *name = d->names.items[i];
        if (!is_candidate(s, name) || is_chosen(s, folder, name))
            continue;
        nvl_autofree char *path = nvl_xasprintf("%s/%s", d->path, name);
        nvl_autofree char *place = nvl_xasprintf("%s/%s", folder, name);
        if (take_library(s, path, place, d->elf) && d->elf == NVL_ELF_64)
            nvl_strv_push(names, name);
    }
}

void nvl_search_unlisted(struct nvl_search *s, struct nvl_strv *names)
{
    for (size_t i = 0; i < s->us->n_dirs; i++)
        if (nvl_search_counts(s, i, s->us->dirs[i].elf))
            take_unlisted_of(s, i, names);
}
