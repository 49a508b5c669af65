/* The one chooser: which driver this host is to have. First of what Debian packages, on Proxmox with another
 * kernel where only that fits; else why none of them does, and what of NVIDIA's own is left. `host setup`
 * plans by it, and every fix text about drivers (driver/advice.h) asks it. */
#pragma once

#include "driver/answers.h"

enum nvl_choice_kind {
    NVL_CHOICE_NONE,    /* no packaged driver fits: `problem` and `hint` say why, and what is left */
    NVL_CHOICE_PACKAGE, /* Debian's packages of `branch` */
    NVL_CHOICE_PRESENT, /* a driver from elsewhere is there, and stays */
};

struct nvl_choice {
    enum nvl_choice_kind kind;
    char *branch;  /* "550" */
    char *version; /* of the package: "550.163.01-4~bpo13+1" */
    char *source;  /* of the table's row: who says that it fits */
    char *reason;  /* why this one, for people */
    enum nvl_flavour flavour;
    bool backports;       /* the packages are those of CODENAME-backports */
    bool fits_newest;     /* also the newest kernel that is installed, which the next boot may take */
    char *kernel;         /* that the driver is for */
    bool needs_kernel;    /* ... which is not the one that runs: Proxmox pins it */
    char *kernel_package; /* what brings it, "proxmox-kernel-6.14", where it is not installed (then `kernel`
                             is its series, "6.14") */
    char *blocked_by;     /* a kernel whose headers are installed, that dkms builds for too, and fails: the
                             package would not install; NULL */
    char *problem, *hint;
    bool is_final; /* NONE, whatever driver is taken: GPUs that none joins or that are not known, a kernel
                      that none builds on */
    char *series;  /* NONE, but Debian's older driver of this name would do: "tesla-470"; NULL */
};

/* On Debian or Proxmox VE, whose release and kernel are known. Never fails: what cannot be chosen is
 * NVL_CHOICE_NONE. */
void nvl_choose_driver(const struct nvl_driver_need *need, struct nvl_choice *choice);
void nvl_choice_clear(struct nvl_choice *choice);
