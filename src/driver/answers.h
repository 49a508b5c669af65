/* Which drivers there are for a kernel and the host's GPUs, and which of them fit, by the table of
 * host/compat.h: what Debian packages, and NVIDIA's own. */
#pragma once

#include "host/compat.h"
#include "host/gpu.h"

struct nvl_installed_driver;

/* What a driver is chosen for; all borrowed. Without `support` (empty) nothing fits. */
struct nvl_driver_need {
    const struct nvl_system *system;
    const struct nvl_gpus *gpus; /* NVL_GPUS_ALL; those that vfio-pci holds do not count */
    const struct nvl_driver_version *loaded;
    const struct nvl_installed_driver *installed;
    const struct nvl_support *support;
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

/* All that this release's suites and NVIDIA have, for `kernel`: what fits first; among those the ones that
 * also fit the newest kernel, the release's before those of backports before NVIDIA's, the installed flavor
 * before the other. Of Debian's packages besides the main ones only those of the installed series. */
void nvl_driver_answers_rank(const struct nvl_driver_need *need, const char *kernel,
                             struct nvl_driver_answers *answers);
/* The same, with every series that this release has. */
void nvl_driver_answers_rank_all(const struct nvl_driver_need *need, const char *kernel,
                                 struct nvl_driver_answers *answers);
void nvl_driver_answers_clear(struct nvl_driver_answers *answers);
/* The same for one driver that is there; its row is NULL if the table does not have it. `package_version` may
 * be NULL. */
void nvl_driver_answer_of(const struct nvl_driver_need *need, const char *version,
                          const char *package_version, enum nvl_flavour flavour,
                          struct nvl_driver_answer *answer);

/* Not one that a virtual machine has, nor a virtual function. */
bool nvl_is_host_gpu(const struct nvl_gpu *gpu);
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
/* The first GPU whose PCI id is in no generation and that NVIDIA's driver does not have; NULL for none. */
const struct nvl_gpu *nvl_gpu_unknown(const struct nvl_driver_need *need);
/* The last branch that supports all GPUs: "580"; NULL if none of them has a last one. */
const char *nvl_last_branch(const struct nvl_driver_need *need);
/* "GPU 0000:01:00.0 (10de:2b85, Blackwell)"; the caller frees. */
char *nvl_gpu_generation_text(const struct nvl_driver_need *need, const struct nvl_gpu *gpu);

/* NVIDIA's own drivers that fit, to be installed by hand. */
struct nvl_by_hand {
    bool fits;     /* some fit; else `text` says what they must be newer than */
    char *branch;  /* of the first that fits; NULL */
    char *version; /* one that fits, for use in a command; NULL if only its branch is known */
    char *text; /* "580.142 or newer of branch 580, or 595.58.03 or newer": never past a GPU's last branch */
    enum nvl_flavour flavour; /* that the GPUs need; UNKNOWN if both work */
};

/* Those newer than `newer_than`, or all of them with NULL. */
void nvl_choose_by_hand(const struct nvl_driver_need *need, const char *kernel, const char *newer_than,
                        struct nvl_by_hand *choice);
void nvl_by_hand_clear(struct nvl_by_hand *choice);
