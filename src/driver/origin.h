/* What of the driver's kernel part is installed for the kernel that runs, and how far dkms came with it.
 * Sources: /lib/modules/KERNEL, /var/lib/dkms (dkms(8)), dpkg's status, the EFI variable MokListRT. */
#pragma once

#include "host/system.h"
#include "host/userspace.h"

enum nvl_enrolled { NVL_ENROLLED_UNKNOWN, NVL_ENROLLED_NO, NVL_ENROLLED_YES };

struct nvl_installed_driver {
    char *module;            /* the running kernel's nvidia.ko, by whatever name; NULL where there is none */
    struct nvl_strv kernels; /* other kernels of /lib/modules that have one, newest first */
    bool has_headers;        /* /lib/modules/KERNEL/build leads to a folder */
    char *package;           /* the Debian package of the module's source; NULL where not so installed */
    char *package_version;
    char *dkms_name, *dkms_version; /* dkms's entry; NULL where it has none */
    char *build_log;                /* of a build for this kernel that failed; NULL where none is left */
    char *build_error;              /* its first error, "make.log:7: nv-mm.h:315:25: error: …" */
    char version[NVL_VERSION_MAX]; /* what would be loaded: dkms's, else the libraries' newest; "" for none */
    enum nvl_flavour flavour;   /* by the names of package and dkms entry; UNKNOWN where neither is there */
    char *signing_key;          /* the certificate that dkms signs with; NULL for none */
    enum nvl_enrolled enrolled; /* whether shim knows it */
};

void nvl_installed_driver_read(const struct nvl_root *root, const struct nvl_system *system,
                               const struct nvl_userspace *us, struct nvl_installed_driver *d);
/* Of all that dkms_name and dkms_version alone. */
void nvl_installed_dkms_read(const struct nvl_root *root, struct nvl_installed_driver *d);
void nvl_installed_driver_clear(struct nvl_installed_driver *d);
