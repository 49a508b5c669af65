/* Where the host's driver came from, and what of its kernel part is installed for the kernel that runs.
 * Sources: /lib/modules/KERNEL, /var/lib/dkms (dkms(8)), dpkg's status, os-release, what NVIDIA's installer
 * leaves (nvidia-installer(1)), the EFI variable MokListRT. */
#pragma once

#include "host/driver_version.h"
#include "host/system.h"

struct nvl_driver_version;
struct nvl_userspace;

enum nvl_origin {
    NVL_ORIGIN_NONE,         /* no driver is here */
    NVL_ORIGIN_UNKNOWN,      /* there is one, and nothing says where it came from */
    NVL_ORIGIN_DEBIAN,       /* Debian's packages; `series` names those beside the main ones */
    NVL_ORIGIN_ARCHIVE,      /* NVIDIA's own archive for Debian */
    NVL_ORIGIN_RUN,          /* NVIDIA's installer, NVIDIA-Linux-*.run */
    NVL_ORIGIN_FOLDER,       /* libraries in a folder of their own: `folder` */
    NVL_ORIGIN_VGPU,         /* NVIDIA's host driver for virtual GPUs: neither CUDA nor nvidia-uvm */
    NVL_ORIGIN_DISTRIBUTION, /* another distribution's packages */
};

enum nvl_enrolled { NVL_ENROLLED_UNKNOWN, NVL_ENROLLED_NO, NVL_ENROLLED_YES };

struct nvl_installed_driver {
    enum nvl_origin origin;
    char *series;             /* of Debian's packages: "tesla-535", "legacy-390xx"; NULL for the main ones */
    char *folder;             /* where origin is FOLDER */
    bool has_installer;       /* files of NVIDIA's installer are here, whatever the driver's origin is */
    char *module;             /* the running kernel's nvidia.ko, by whatever name; NULL where there is none */
    struct nvl_strv kernels;  /* other kernels of /lib/modules that have one, newest first */
    struct nvl_strv bootable; /* kernels that can boot: /boot/vmlinuz-K and /lib/modules/K */
    struct nvl_strv buildable; /* those of them whose headers are installed, so that dkms builds for them */
    bool has_dkms;
    bool has_headers; /* /lib/modules/KERNEL/build leads to a folder */
    char *package;    /* the package of the module's source; NULL where not so installed */
    char *package_version;
    char *dkms_name, *dkms_version; /* dkms's entry; NULL where it has none */
    char *build_log;                /* of a build for this kernel that failed; NULL where none is left */
    char *build_error;              /* its first error, "make.log:7: nv-mm.h:315:25: error: …" */
    char version[NVL_VERSION_MAX]; /* what would be loaded: dkms's, else the libraries' newest; "" for none */
    /* Of what would be loaded: by the package, a name that is Debian's alone, or the built module's licence.
     * UNKNOWN else: in dkms both are named "nvidia" where they come from NVIDIA. */
    enum nvl_flavour flavour;
    char *signing_key;          /* the certificate that dkms signs with; NULL for none */
    enum nvl_enrolled enrolled; /* whether shim knows it */
};

/* Files that NVIDIA's installer leaves; ends with NULL. */
extern const char *const nvl_installer_marks[];

/* `loaded` tells which of two that are here is the driver; NULL for none. */
void nvl_installed_driver_read(const struct nvl_root *root, const struct nvl_system *system,
                               const struct nvl_userspace *us, const struct nvl_driver_version *loaded,
                               struct nvl_installed_driver *d);
/* Of a driver that is loaded, for those who ask often: origin, series, package without its version, and
 * dkms's entry, without reading dpkg's long status. */
void nvl_installed_driver_glance(const struct nvl_root *root, const struct nvl_system *system,
                                 const struct nvl_userspace *us, const struct nvl_driver_version *loaded,
                                 struct nvl_installed_driver *d);
void nvl_installed_driver_clear(struct nvl_installed_driver *d);
