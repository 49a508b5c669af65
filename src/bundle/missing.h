/* What a bundle should hold and the host does not have. Not public: for this room. */
#pragma once

#include "bundle/catalog.h"

enum nvl_absence {
    NVL_PRESENT,
    NVL_ABSENT,       /* not installed */
    NVL_OTHER_VERSION /* installed, but not of the bundle's version, as far as can be told */
};

/* One line for each capability, of those entries of the catalog that are expected; absences has one value for
 * each entry. has_packages: the driver comes from Debian's packages. */
void nvl_missing_report(const enum nvl_absence *absences, const char *version, bool has_packages,
                        struct nvl_strv *missing);
