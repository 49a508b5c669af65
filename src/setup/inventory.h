/* What host setup must know of the machine before it can plan: read once, through the root, so that the plan
 * itself does no input or output. */
#pragma once

#include "driver/answers.h"
#include "driver/origin.h"
#include "host/gpu_claims.h"
#include "host/gpu_state.h"
#include "host/modprobe.h"
#include "host/module.h"
#include "setup/sources.h"

#define NVL_SETUP_BLACKLIST NVL_MODPROBE_FILE
#define NVL_SETUP_BOOT_UNIT "nvlxc-boot.service"

struct nvl_setup_package {
    char *name, *version;
};

/* A file of modprobe's configuration without the lines that keep NVIDIA's driver from loading. */
struct nvl_setup_file {
    char *source;   /* the file with the lines */
    char *path;     /* the file to write: the same, or the copy in /etc that hides a package's */
    char *old_text; /* NULL for a new file */
    char *new_text;
};

struct nvl_setup_facts {
    struct nvl_system system;
    struct nvl_gpus gpus;
    struct nvl_driver_version loaded;
    struct nvl_modules modules;
    struct nvl_installed_driver installed;
    struct nvl_sources sources;
    struct nvl_setup_package *packages; /* those looked up that are installed */
    size_t n_packages;
    char *pinned;                      /* Proxmox: the kernel that it always boots; NULL for the newest */
    char *backports, *pin, *blacklist; /* current texts of the files that setup writes; NULL if absent */
    struct nvl_strv unwanted;     /* modules that a kernel here has and that take GPUs: nouveau, nova_core */
    struct nvl_strv blacklisted;  /* those of them that are blacklisted */
    struct nvl_claims barriers;   /* what keeps NVIDIA's driver from loading */
    struct nvl_setup_file *files; /* without the barriers that are lines of modprobe's */
    size_t n_files;
    struct nvl_claims claims; /* what assigns a GPU to vfio-pci that it does not have yet */
    bool has_initramfs;       /* update-initramfs exists, and an image */
    bool initramfs_is_old;    /* an image is older than a file of /etc/modprobe.d */
    bool key_is_pending;      /* the key that dkms signs with waits to be confirmed at the next boot */
    bool has_boot_unit, boot_unit_is_enabled;
    bool dpkg_is_interrupted;           /* it was killed: apt installs nothing before it has finished */
    bool has_x;                         /* an X server is installed */
    bool has_archive_key;               /* the key of NVIDIA's archive, as setup keeps it */
    char *archive_source, *archive_pin; /* current texts, as of the files above */
};

int nvl_setup_facts_read(const struct nvl_root *root, struct nvl_setup_facts *facts, struct nvl_error *err);
/* Looks packages up; adds the installed ones to `packages`. */
void nvl_setup_look_up(const struct nvl_root *root, const struct nvl_strv *names,
                       struct nvl_setup_facts *facts);
/* The chooser's input, from these facts. */
struct nvl_driver_need nvl_setup_need(const struct nvl_setup_facts *facts, const struct nvl_support *support);
void nvl_setup_facts_clear(struct nvl_setup_facts *facts);
/* The version of an installed package; NULL. */
const char *nvl_setup_installed(const struct nvl_setup_facts *facts, const char *package);
