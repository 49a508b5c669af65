/* Where nvlxc keeps its files, on the host and in a container. */
#pragma once

/* On the host. */
#define NVL_BUNDLE_DIR                                                                                       \
    "/var/lib/nvlxc/driver"         /* VERSION/{bin,lib64,lib32,share,etc}, sonames, manifest.json */
#define NVL_SONAMES_MAX (64u << 10) /* bytes of a bundle's list of sonames; about 2 KiB in practice */
/* VERSION/gsp_*.bin, for the host's kernel: outside of the bundles, which are mounted into containers */
#define NVL_FIRMWARE_DIR       "/var/lib/nvlxc/firmware"
#define NVL_DOCTOR_DIR         "/var/lib/nvlxc/doctor" /* what doctor --notify has told: doctor/told.h */
#define NVL_NODE_COPIES_DIR    "/dev/nvlxc"            /* CONTAINER/NODE: inject/node_copies.h */
#define NVL_CDI_COPIES_DIR     "/run/nvlxc/cdi"        /* CONTAINER.json: inject/cdi_file.h */
#define NVL_MAPPING_COPIES_DIR "/run/nvlxc/mapping"    /* CONTAINER.cfg: inject/mapping_copy.h */
#define NVL_VISITS_DIR         "/run/nvlxc/visits" /* UID: locked while somebody looks into that user's home */
#define NVL_LOANS_DIR          "/run/nvlxc/lent"   /* PCI ADDRESS: a GPU that is lent to a VM: host/loan.h */
#define NVL_RUNTIME_HOOK       "/usr/libexec/nvlxc/incus/nvidia" /* the same, as Incus and LXD call it */
#define NVL_HOOK_PROGRAM       "/usr/libexec/nvlxc/hook"
#define NVL_PROBE_PROGRAM      "/usr/libexec/nvlxc/probe"
#define NVL_PROGRAM            "/usr/bin/nvlxc"

/* In a container; inject/places.c lists every file. */
#define NVL_MOUNT_POINT       "/usr/local/nvidia" /* the bundle, read-only: inject/home.h tells where it is */
#define NVL_OTHER_MOUNT_POINT "/opt/nvlxc/nvidia" /* where the first one cannot be */
#define NVL_CDI_FOLDER        "/etc/cdi"
#define NVL_CDI_FILE          "/etc/cdi/nvlxc.json" /* in a container; on the host, `driver sync` keeps it */
#define NVL_PROC_NVIDIA       "/proc/driver/nvidia" /* on the host; in a container, a view of it */
