/* The only chooser: which driver this host should have. It prefers what Debian packages, on Proxmox with
 * another kernel if only that fits; otherwise it says why none does, and which of NVIDIA's own remains. `host
 * setup` plans by it, and every fix text about drivers (driver/advice.h) asks it. */
#pragma once

#include "driver/answers.h"
#include "driver/by_hand.h"

enum nvl_choice_kind {
    NVL_CHOICE_NONE,    /* no packaged driver fits: `problem` and `hint` say why, and what remains */
    NVL_CHOICE_PACKAGE, /* Debian's packages of `branch` */
    NVL_CHOICE_PRESENT, /* a driver from elsewhere is installed, and stays */
};

struct nvl_choice {
    enum nvl_choice_kind kind;
    char *branch;  /* "550" */
    char *version; /* of the package: "550.163.01-4~bpo13+1" */
    char *source;  /* of the table's row: who says that it fits */
    char *reason;  /* why this one, for people */
    enum nvl_flavour flavour;
    bool backports;       /* the packages are those of CODENAME-backports */
    bool fits_newest;     /* it also fits the newest installed kernel, which the next boot may take */
    char *kernel;         /* that the driver is for */
    bool needs_kernel;    /* ... which is not the running one: Proxmox pins it */
    char *kernel_package; /* the package that brings it, "proxmox-kernel-6.14", if it is not installed (then
                             `kernel` is its series, "6.14") */
    char *blocked_by; /* a kernel whose headers are installed, so that dkms builds for it, too, and fails: the
                         package would not install; NULL */
    char *problem, *hint;
    bool is_final; /* NONE, whatever the driver: GPUs that no driver supports together or that are unknown, or
                      a kernel on which none builds */
    char *series;  /* NONE, but Debian's older driver of this name would work: "tesla-470"; NULL */
};

/* On Debian or Proxmox VE, whose release and kernel are known. Never fails: if nothing can be chosen, the
 * choice is NVL_CHOICE_NONE. */
void nvl_choose_driver(const struct nvl_driver_need *need, struct nvl_choice *choice);
void nvl_choice_clear(struct nvl_choice *choice);
