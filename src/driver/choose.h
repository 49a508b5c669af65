/* The only chooser: which driver this host should have. It prefers what Debian packages, on Proxmox with
 * another kernel if only that fits; otherwise it says why none does, and which of NVIDIA's own remains. `host
 * setup` plans by it, and every fix text about drivers (driver/advice.h) asks it. */
#pragma once

#include "driver/answers.h"
#include "driver/by_hand.h"

enum nvl_choice_kind {
    /* none can be installed now: `problem` and `hint` say why, and what remains. With a `version`: that one
     * fits, once the user has removed what is there */
    NVL_CHOICE_NONE,
    NVL_CHOICE_PACKAGE, /* Debian's packages of `branch` */
    NVL_CHOICE_ARCHIVE, /* NVIDIA's archive, if the user wants it: the newest driver there, or of `branch` */
    NVL_CHOICE_RUN,     /* the installer that the user has */
    NVL_CHOICE_PRESENT, /* a driver from elsewhere is installed, and stays */
};

struct nvl_choice {
    enum nvl_choice_kind kind;
    char *branch;             /* "550"; of the archive NULL if its newest driver is right */
    char *version;            /* of the package: "550.163.01-4~bpo13+1"; of the installer: "580.105.08" */
    char *series;             /* of Debian's packages: "tesla-470"; NULL for the main ones */
    char *source;             /* of the table's row: who says that it fits; NULL */
    char *reason;             /* why this one, for people */
    enum nvl_flavour flavour; /* UNKNOWN if the installer is to choose */
    bool backports;           /* the packages are those of CODENAME-backports */
    bool installed_is_misfit; /* ARCHIVE: its driver is installed, and does not fit */
    bool fits_newest;         /* it also fits the newest installed kernel, which the next boot may take */
    char *kernel;             /* that the driver is for */
    bool needs_kernel;        /* ... which is not the running one: Proxmox pins it */
    char *kernel_package; /* the package that brings it, "proxmox-kernel-6.14", if it is not installed (then
                             `kernel` is its series, "6.14") */
    char *blocked_by; /* a kernel whose headers are installed, so that dkms builds for it, too, and fails: the
                         package would not install; NULL */
    char *problem, *hint;
    bool is_final; /* NONE, whatever the driver: GPUs that no driver supports together or that are unknown, or
                      a kernel on which none builds */
};

/* On Debian or Proxmox VE, whose release and kernel are known. Never fails: if nothing can be chosen, the
 * choice is NVL_CHOICE_NONE. */
void nvl_choose_driver(const struct nvl_driver_need *need, struct nvl_choice *choice);
/* Whether a driver is to be installed: all kinds but NONE and PRESENT. */
bool nvl_choice_installs(const struct nvl_choice *choice);
void nvl_choice_clear(struct nvl_choice *choice);
