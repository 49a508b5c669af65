/* The report of missing files: by capability, with what to install. */
#include "bundle/missing.h"

#define MANY 5

static const char *short_name(const struct nvl_catalog_file *entry)
{
    const char *slash = strrchr(entry->name, '/');

    return slash != NULL ? slash + 1 : entry->name;
}

static char *advice(const struct nvl_strv *packages, bool has_packages)
{
    if (!has_packages)
        return nvl_xstrdup("install the driver again, with all its parts");
    nvl_autofree char *list = nvl_strv_join(packages, " ");
    return nvl_xasprintf("apt install %s", list);
}

static void report(const enum nvl_absence *absences, unsigned capability, enum nvl_absence kind,
                   const char *version, bool has_packages, struct nvl_strv *missing)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0}, packages = {0};
    size_t n_expected = 0;

    for (size_t i = 0; i < nvl_catalog_length; i++) {
        const struct nvl_catalog_file *entry = &nvl_catalog[i];
        bool counts = entry->capability == capability && entry->expected;
        n_expected += counts;
        if (!counts || absences[i] != kind)
            continue;
        nvl_strv_push(&names, short_name(entry));
        if (entry->package != NULL && !nvl_strv_contains(&packages, entry->package))
            nvl_strv_push(&packages, entry->package);
    }
    if (names.count == 0)
        return;
    nvl_autofree char *word = nvl_capabilities_format(capability);
    nvl_autofree char *list = nvl_strv_join(&names, ", ");
    nvl_autofree char *what_now = advice(&packages, has_packages);
    /* a host without a screen has no graphics at all: a dozen names would say no more */
    if (names.count == n_expected && n_expected > MANY) {
        nvl_strv_pushf(missing, "%s: none of its %zu files is installed%s%s: %s", word, n_expected,
                       kind == NVL_ABSENT ? "" : " in version ", kind == NVL_ABSENT ? "" : version, what_now);
        return;
    }
    const char *verb = names.count > 1 ? "are" : "is";
    if (kind == NVL_ABSENT)
        nvl_strv_pushf(missing, "%s: %s %s not installed: %s", word, list, verb, what_now);
    else
        nvl_strv_pushf(missing, "%s: %s %s installed, but not of %s: %s", word, list, verb, version,
                       what_now);
}

void nvl_missing_report(const enum nvl_absence *absences, const char *version, bool has_packages,
                        struct nvl_strv *missing)
{
    for (unsigned bit = 1; bit <= NVL_CAP_ALL; bit <<= 1) {
        report(absences, bit, NVL_ABSENT, version, has_packages, missing);
        report(absences, bit, NVL_OTHER_VERSION, version, has_packages, missing);
    }
}
