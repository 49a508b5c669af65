/* Where the host's driver came from, and which of its kernel parts are installed for the running kernel.
 * Sources: /lib/modules/KERNEL, /var/lib/dkms (dkms(8)), dpkg's status, os-release, what NVIDIA's installer
 * leaves (nvidia-installer(1)), the EFI variable MokListRT. */
#pragma once

#include "host/driver_version.h"
#include "host/system.h"

struct nvl_driver_version;
struct nvl_userspace;

enum nvl_origin {
    NVL_ORIGIN_NONE,         /* no driver is installed */
    NVL_ORIGIN_UNKNOWN,      /* a driver is installed, but nothing tells where it came from */
    NVL_ORIGIN_DEBIAN,       /* Debian's packages; `series` names those besides the main ones */
    NVL_ORIGIN_ARCHIVE,      /* NVIDIA's own archive for Debian */
    NVL_ORIGIN_RUN,          /* NVIDIA's installer, NVIDIA-Linux-*.run */
    NVL_ORIGIN_FOLDER,       /* libraries in a separate folder: `folder` */
    NVL_ORIGIN_VGPU,         /* NVIDIA's host driver for virtual GPUs: neither CUDA nor nvidia-uvm */
    NVL_ORIGIN_DISTRIBUTION, /* another distribution's packages */
};

enum nvl_enrolled { NVL_ENROLLED_UNKNOWN, NVL_ENROLLED_NO, NVL_ENROLLED_YES };

struct nvl_installed_driver {
    enum nvl_origin origin;
    char *series;              /* of Debian's packages: "tesla-535", "legacy-390xx"; NULL for the main ones */
    char *folder;              /* if origin is FOLDER */
    bool has_installer;        /* files of NVIDIA's installer exist, whatever the driver's origin is */
    char *module;              /* the running kernel's nvidia.ko, by whatever name; NULL if there is none */
    struct nvl_strv kernels;   /* other kernels of /lib/modules that have one, newest first */
    struct nvl_strv bootable;  /* kernels that can boot: /boot/vmlinuz-K and /lib/modules/K */
    struct nvl_strv buildable; /* those of them whose headers are installed, so that dkms builds for them */
    bool has_dkms;
    bool has_headers; /* /lib/modules/KERNEL/build leads to a folder */
    char *package;    /* the package of the module's source; NULL if not installed as one */
    char *package_version;
    char *dkms_name, *dkms_version; /* dkms's entry; NULL if there is none */
    char *build_log;                /* of a failed build for this kernel; NULL if none is left */
    char *build_error;              /* its first error, "make.log:7: nv-mm.h:315:25: error: …" */
    char version[NVL_VERSION_MAX];  /* what would load: dkms's, else the libraries' newest; "" for none */
    /* Of what would load: by the package, by a name that only Debian uses, or by the built module's license.
     * UNKNOWN otherwise: in dkms NVIDIA names both "nvidia". */
    enum nvl_flavour flavour;
    char *signing_key;          /* the certificate that dkms signs with; NULL for none */
    enum nvl_enrolled enrolled; /* whether shim knows it */
};

/* Files that NVIDIA's installer leaves; ends with NULL. */
extern const char *const nvl_installer_marks[];

/* `loaded` tells which of two present ones is the driver; NULL for none. */
void nvl_installed_driver_read(const struct nvl_root *root, const struct nvl_system *system,
                               const struct nvl_userspace *us, const struct nvl_driver_version *loaded,
                               struct nvl_installed_driver *d);
/* For a loaded driver, for callers that ask often: origin, series, package without its version, and dkms's
 * entry, without reading dpkg's long status. */
void nvl_installed_driver_glance(const struct nvl_root *root, const struct nvl_system *system,
                                 const struct nvl_userspace *us, const struct nvl_driver_version *loaded,
                                 struct nvl_installed_driver *d);
void nvl_installed_driver_clear(struct nvl_installed_driver *d);
