/* Chooses the files of a bundle, and reports what the host lacks for it. */
#include "bundle/select.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "bundle/catalog.h"
#include "bundle/search.h"
#include "bundle/unlisted.h"
#include "grant/grant.h"
#include "host/userspace.h"

#define MANY 5 /* names in one line */

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

static void report_absences(const struct nvl_search *s, unsigned capability, enum nvl_absence kind,
                            struct nvl_missing *missing)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0};
    struct nvl_missing_files m = {.capability = capability};
    size_t n_expected = 0;

    for (size_t i = 0; i < nvl_catalog_length; i++) {
        const struct nvl_catalog_file *entry = &nvl_catalog[i];
        bool counts = entry->capability == capability && nvl_catalog_expects(entry, s->version);
        n_expected += counts;
        if (!counts || s->absences[i] != kind)
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
        m.text =
            nvl_xasprintf("%s: none of its %zu files is installed%s%s", word, n_expected,
                          kind == NVL_ABSENT ? "" : " in version ", kind == NVL_ABSENT ? "" : s->version);
    else if (kind == NVL_ABSENT)
        m.text = nvl_xasprintf("%s: %s %s not installed", word, list, verb);
    else
        m.text = nvl_xasprintf("%s: %s %s installed, but not of %s", word, list, verb, s->version);
    *NVL_APPEND(missing->items, missing->count) = m;
}

/* By capability, of those entries of the catalog that a driver of this version has. */
static void report_missing(const struct nvl_search *s, struct nvl_missing *missing)
{
    for (unsigned bit = 1; bit <= NVL_CAP_ALL; bit <<= 1) {
        report_absences(s, bit, NVL_ABSENT, missing);
        report_absences(s, bit, NVL_OTHER_VERSION, missing);
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

void nvl_selection_clear(struct nvl_selection *selection)
{
    nvl_missing_clear(&selection->missing);
    nvl_strv_clear(&selection->unlisted);
}

static int refuse_version(const char *version, struct nvl_error *err)
{
    nvl_error_set(err, -ENOENT, "libcuda and libnvidia-ml of driver %s are not installed", version);
    nvl_error_hint(err,
                   "install that version's user-space, or boot into the driver whose files are installed");
    return -ENOENT;
}

int nvl_select_files(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                     const struct nvl_manifest *known, struct nvl_manifest *chosen,
                     struct nvl_selection *selection, struct nvl_error *err)
{
    nvl_autofree const char **sources = nvl_xcalloc(nvl_catalog_length, sizeof *sources);
    nvl_autofree enum nvl_absence *absences = nvl_xcalloc(nvl_catalog_length, sizeof *absences);
    nvl_auto(nvl_search_clear) struct nvl_search s = {.root = root,
                                                      .us = us,
                                                      .version = version,
                                                      .known = known,
                                                      .chosen = chosen,
                                                      .sources = sources,
                                                      .absences = absences};

    *chosen = (struct nvl_manifest){0};
    nvl_copy(chosen->version, sizeof chosen->version, version, strlen(version));
    nvl_search_places(&s);
    for (size_t i = 0; i < nvl_catalog_length; i++) {
        absences[i] = NVL_ABSENT;
        nvl_search_entry(&s, i);
    }
    if (!has_core_library(chosen, version)) {
        nvl_manifest_clear(chosen);
        return refuse_version(version, err);
    }
    nvl_search_unlisted(&s, &selection->unlisted);
    report_missing(&s, &selection->missing);
    nvl_compare_file_list(&s, &selection->missing);
    nvl_manifest_sort(chosen);
    return 0;
}

int nvl_bundle_lacks(const struct nvl_root *root, const struct nvl_userspace *us, const char *version,
                     struct nvl_missing *missing, struct nvl_error *err)
{
    nvl_auto(nvl_manifest_clear) struct nvl_manifest found = {0}, m = {0};
    nvl_auto(nvl_selection_clear) struct nvl_selection selection = {0};

    nvl_manifest_read(root, version, &found); /* an empty one means that every file is examined */
    int r = nvl_select_files(root, us, version, &found, &m, &selection, err);
    *missing = selection.missing;
    selection.missing = (struct nvl_missing){0};
    return r;
}
