/* Which driver this host gets: the first of the release's own packages, then of backports, that fits the
 * kernel and every GPU by the table of host/compat.h; on Proxmox another kernel where only that fits. */
#pragma once

#include "host/compat.h"
#include "setup/inventory.h"

enum nvl_choice_kind {
    NVL_CHOICE_NONE,    /* no packaged driver fits: `problem` and `hint` say why, and what is left */
    NVL_CHOICE_PACKAGE, /* Debian's packages of `branch` */
    NVL_CHOICE_PRESENT, /* a driver from elsewhere is there, and stays */
};

struct nvl_choice {
    enum nvl_choice_kind kind;
    char *branch; /* "550" */
    char *source; /* of the table's row: who says that it fits */
    char *reason; /* why this one, for people */
    enum nvl_flavour flavour;
    bool backports;       /* the packages are those of CODENAME-backports */
    bool fits_newest;     /* also the newest kernel that is installed, which the next boot may take */
    char *kernel;         /* that the driver is for */
    bool needs_kernel;    /* ... which is not the one that runs: Proxmox pins it */
    char *kernel_package; /* what brings it, "proxmox-kernel-6.14", where it is not installed (then `kernel`
                             is its series, "6.14") */
    char *blocked_by;     /* a kernel whose headers are installed, that dkms builds for too, and fails: the
                             package     would not install; NULL */
    char *problem, *hint;
};

/* Never fails: what cannot be chosen is NVL_CHOICE_NONE. */
void nvl_choose_driver(const struct nvl_setup_facts *facts, const struct nvl_support *support,
                       struct nvl_choice *choice);
void nvl_choice_clear(struct nvl_choice *choice);
