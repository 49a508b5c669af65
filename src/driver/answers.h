/* Which drivers there are for a kernel and the host's GPUs, and which of them fit, by the table of
 * host/compat.h: what Debian packages, and NVIDIA's own. */
#pragma once

#include "host/compat.h"
#include "host/gpu.h"

struct nvl_installed_driver;
struct nvl_installer_file;

/* Where the user wants the driver from. */
enum nvl_wish_source {
    NVL_WISH_BEST,    /* no matter: the best that Debian packages */
    NVL_WISH_DEBIAN,  /* Debian's main packages, or those of `series` */
    NVL_WISH_ARCHIVE, /* NVIDIA's archive for Debian */
    NVL_WISH_RUN,     /* NVIDIA's installer: the file `installer` */
};

struct nvl_driver_wish {
    enum nvl_wish_source source;
    const char *series; /* "tesla-470"; NULL for the main packages */
    const struct nvl_installer_file *installer;
};

/* What a driver is chosen for; all borrowed. Without `support` (empty) nothing fits. */
struct nvl_driver_need {
    const struct nvl_system *system;
    const struct nvl_gpus *gpus; /* NVL_GPUS_ALL; those that vfio-pci holds do not count */
    const struct nvl_driver_version *loaded;
    const struct nvl_installed_driver *installed;
    const struct nvl_support *support;
    const struct nvl_driver_wish *wish; /* NULL for NVL_WISH_BEST */
};

enum nvl_supplier { NVL_SUPPLIER_RELEASE, NVL_SUPPLIER_BACKPORTS, NVL_SUPPLIER_NVIDIA };

/* An available driver, and whether it fits. */
struct nvl_driver_answer {
    enum nvl_supplier supplier;
    const struct nvl_kernel_range *row;
    enum nvl_flavour flavour;
    bool fits, fits_newest; /* this kernel and each GPU; also the newest kernel that can boot */
    enum nvl_kernel_fit kernel_fit;
    enum nvl_gpu_fit gpu_fit;  /* of the first GPU that it does not fit; FITS if there is none */
    const struct nvl_gpu *gpu; /* that GPU; NULL. UNKNOWN means no fit: its PCI id is not in the table */
};

struct nvl_driver_answers {
    struct nvl_driver_answer *items; /* the best first */
    size_t count;
};

/* All that this release's suites and NVIDIA have, for `kernel`: what fits first; among those the installed
 * series' packages, the main ones, and those of other series; then the ones that also fit the newest kernel,
 * the release's before those of backports before NVIDIA's, the installed flavor before the other. */
void nvl_driver_answers_rank(const struct nvl_driver_need *need, const char *kernel,
                             struct nvl_driver_answers *answers);
void nvl_driver_answers_clear(struct nvl_driver_answers *answers);
/* The same for the installed driver: a package before the loaded one, since it may wait for a reboot. A
 * loaded driver fits its kernel, whatever the table says. Returns its version, "" if unknown, NULL if nothing
 * is installed; the answer's row is NULL if the table does not have it. */
const char *nvl_driver_answer_installed(const struct nvl_driver_need *need, struct nvl_driver_answer *answer);

/* The same for any driver of NVIDIA's on the running kernel. */
void nvl_driver_answer_of(const struct nvl_driver_need *need, const char *version, enum nvl_flavour flavour,
                          struct nvl_driver_answer *answer);

/* Whether NVIDIA's archive for this release of Debian has the branch. */
bool nvl_archive_has(const struct nvl_system *system, const char *branch);
/* Not one that a virtual machine has, nor a virtual function. */
bool nvl_is_host_gpu(const struct nvl_gpu *gpu);
bool nvl_has_host_gpu(const struct nvl_driver_need *need);
/* NULL for a GPU that is not the host's, or that the table does not know. */
const struct nvl_generation *nvl_gpu_generation(const struct nvl_driver_need *need,
                                                const struct nvl_gpu *gpu);
/* Of those that can boot; the running one if none is known. */
const char *nvl_newest_kernel(const struct nvl_driver_need *need);
/* The row's first version, or its branch if the row covers all of it. */
const char *nvl_row_version(const struct nvl_kernel_range *row);

/* Finds two GPUs that no driver supports together, by branch or by flavor (Pascal and Blackwell). False for
 * none. */
bool nvl_gpus_conflict(const struct nvl_driver_need *need, const struct nvl_gpu **one,
                       const struct nvl_gpu **other);
/* Which of the two works with which driver; the caller frees. */
char *nvl_conflict_text(const struct nvl_driver_need *need, const struct nvl_gpu *one,
                        const struct nvl_gpu *other);
/* The same in one sentence; NULL if a driver supports all of them. Needs only the GPUs and the table. */
char *nvl_conflict_note(const struct nvl_driver_need *need);
/* The first GPU whose PCI id is in no generation and that NVIDIA's driver does not have; NULL for none. */
const struct nvl_gpu *nvl_gpu_unknown(const struct nvl_driver_need *need);
/* The last branch that supports all GPUs: "580"; NULL if none of them has a last one. */
const char *nvl_last_branch(const struct nvl_driver_need *need);
/* "GPU 0000:01:00.0 (10de:2b85, Blackwell)"; the caller frees. */
char *nvl_gpu_generation_text(const struct nvl_driver_need *need, const struct nvl_gpu *gpu);

/* Whether it fits as far as the table knows: UNKNOWN if it has nothing against it, but no word for it
 * either. */
enum nvl_verdict { NVL_VERDICT_FITS, NVL_VERDICT_UNKNOWN, NVL_VERDICT_UNFIT };
enum nvl_verdict nvl_driver_verdict(const struct nvl_driver_answer *answer);
/* Whether it is a GPU that it certainly does not fit. */
bool nvl_is_gpu_misfit(const struct nvl_driver_answer *answer);
/* "builds up to kernel 6.15", "does not know Blackwell": what is certain before what is unknown. NULL if it
 * fits; the caller frees. */
char *nvl_driver_why_not(const struct nvl_driver_need *need, const struct nvl_driver_answer *answer);
