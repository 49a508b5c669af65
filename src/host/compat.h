/* What is known of drivers, kernels and GPUs: which driver builds on which kernel, and which generation of
 * GPUs a driver supports. compat_table.h reads it; doctor judges by it, and code that chooses a driver for a
 * host may read its rows. */
#pragma once

#include "base/text.h"
#include "host/driver_version.h"

/* One row: a driver, from a version of its branch on, and the kernels that it supports ("6.15": two
 * numbers). */
struct nvl_kernel_range {
    char *branch;    /* "550" */
    char *from;      /* the first version of the branch that it applies to; NULL for all */
    char *package;   /* the only Debian package version that it applies to; NULL for any */
    char *suite;     /* the suite that has the package: "trixie-backports"; NULL if package is */
    char *series;    /* of Debian's packages besides the main ones: "tesla-535"; NULL for the main ones */
    char *flavour;   /* "open", "proprietary"; NULL for both */
    char *min, *max; /* the oldest and newest kernel; NULL if unknown */
    struct nvl_strv fails; /* kernels on which it was seen to fail */
    char *basis;           /* "built", "claimed", "reported" */
    char *source;          /* who says so */
};

struct nvl_id_range {
    unsigned first, last;
};

/* GPUs of one architecture. */
struct nvl_generation {
    char *name; /* "Ampere" */
    struct nvl_id_range *ids;
    size_t n_ids;
    char *first,
        *last; /* branches of the driver that support it; NULL for "from the beginning" and "still" */
    bool open, proprietary; /* the flavors of the kernel module that can drive it */
};

struct nvl_support {
    struct nvl_kernel_range *kernels;
    size_t n_kernels;
    struct nvl_generation *generations;
    size_t n_generations;
    char *date; /* "2026-11-29": of the table, not of added rows */
};

void nvl_support_clear(struct nvl_support *support);
void nvl_kernel_range_clear(struct nvl_kernel_range *row);

/* The most specific row about this driver: its package's before its version's before its branch's. NULL if
 * nothing is known. `package_version` may be NULL. */
const struct nvl_kernel_range *nvl_support_driver(const struct nvl_support *support, const char *version,
                                                  const char *package_version, enum nvl_flavour flavour);

enum nvl_kernel_fit {
    NVL_KERNEL_UNKNOWN,
    NVL_KERNEL_FITS,
    NVL_KERNEL_TOO_NEW,
    NVL_KERNEL_TOO_OLD,
    NVL_KERNEL_FAILS
};
/* `kernel` is a release, "6.17.2-1-pve". UNKNOWN if one of them is NULL or the range does not cover it. */
enum nvl_kernel_fit nvl_kernel_fits(const struct nvl_kernel_range *range, const char *kernel);

/* "6.17" of "6.17.2-1-pve", as the table counts kernels; the caller frees. */
char *nvl_kernel_series(const char *kernel);

/* NULL for a PCI device id that is in no generation. */
const struct nvl_generation *nvl_support_generation(const struct nvl_support *support, unsigned pci_device);

enum nvl_gpu_fit {
    NVL_GPU_UNKNOWN,
    NVL_GPU_FITS,
    NVL_GPU_TOO_NEW,
    NVL_GPU_TOO_OLD,
    NVL_GPU_NEEDS_OPEN,
    NVL_GPU_NEEDS_PROPRIETARY
};
/* Whether a driver of that version and flavor drives GPUs of the generation. */
enum nvl_gpu_fit nvl_generation_fits(const struct nvl_generation *generation, const char *version,
                                     enum nvl_flavour flavour);
