/* What kind of machine the host is: distribution, kernel, Proxmox, boot. Sources: /etc/os-release,
 * /proc/sys/kernel/osrelease, /usr/bin/pveversion's package state, /sys/firmware/efi. */
#pragma once

#include "base/text.h"

struct nvl_error;
struct nvl_root;

enum nvl_secure_boot { NVL_SECURE_BOOT_UNKNOWN, NVL_SECURE_BOOT_OFF, NVL_SECURE_BOOT_ON };

/* Proxmox's cluster file system (pmxcfs), /etc/pve, which holds the configs of its guests. */
enum nvl_pmxcfs {
    NVL_CLUSTER_NONE, /* not a Proxmox host */
    NVL_CLUSTER_LIVE, /* mounted; of a captured host: some of its files are there */
    NVL_CLUSTER_GONE, /* a Proxmox host on which pmxcfs was stopped or died: nobody can read or write them */
};
/* Whether this is a Proxmox host whose configs are there. *why (may be NULL) is what gave GONE away, in
 * words. */
enum nvl_pmxcfs nvl_cluster_state(const struct nvl_root *root, char **why);
/* -ENOTCONN, with what to do, if they are gone. */
int nvl_cluster_check(const struct nvl_root *root, struct nvl_error *err);

struct nvl_system {
    char *id;                         /* os-release ID: "debian"; NULL if unknown */
    char *like;                       /* ID_LIKE: "rhel centos fedora"; NULL for none */
    char *version_id;                 /* "12", "13" */
    char *codename;                   /* "bookworm", "trixie" */
    char *kernel;                     /* "6.14.8-2-pve"; NULL if unknown */
    bool is_proxmox;                  /* /etc/pve exists, or should */
    int pve_major;                    /* 8, 9; -1 if not Proxmox or unknown */
    bool has_systemd;                 /* /run/systemd/system */
    enum nvl_secure_boot secure_boot; /* the EFI variable SecureBoot; OFF also if there is no EFI */
};

int nvl_system_read(const struct nvl_root *root, struct nvl_system *system, struct nvl_error *err);
void nvl_system_clear(struct nvl_system *system);

/* Whose commands manage packages here. */
enum nvl_family {
    NVL_FAMILY_OTHER,
    NVL_FAMILY_DEBIAN, /* and Proxmox VE */
    NVL_FAMILY_UBUNTU,
    NVL_FAMILY_FEDORA,
    NVL_FAMILY_RHEL,
    NVL_FAMILY_SUSE,
    NVL_FAMILY_ARCH,
    NVL_FAMILY_GENTOO,
    NVL_FAMILY_NIXOS,
    NVL_FAMILIES
};

/* By os-release's ID and ID_LIKE. */
enum nvl_family nvl_family_of(const struct nvl_system *system);

/* Debian's and Proxmox's names of the headers for the running kernel: of the package for only that kernel,
 * and of the one that brings each later kernel's. NULL if the distribution or the kernel is another. The
 * caller frees. */
char *nvl_headers_package(const struct nvl_system *system);
char *nvl_headers_meta_package(const struct nvl_system *system);

/* The version of an installed Debian package, from /var/lib/dpkg/status; NULL if it is not installed. The
 * caller frees. */
char *nvl_package_version(const struct nvl_root *root, const char *package);
/* The same for the first of them that is installed; *which is its position. */
char *nvl_package_version_of(const struct nvl_root *root, const char *const *packages, size_t n_packages,
                             size_t *which);

/* The maintainer of an installed package, according to dpkg: "NVIDIA Corporation <…>"; NULL if it is not
 * installed or names none. The caller frees. */
char *nvl_package_maintainer(const struct nvl_root *root, const char *package);

/* Whether it is installed, for callers that need no version: does not read that long file if dpkg's lists
 * exist. A removed package that left configuration files counts. */
bool nvl_package_is_installed(const struct nvl_root *root, const char *package);

/* Whether the process that a pid file names is that program. */
bool nvl_pid_file_holds(const struct nvl_root *root, const char *pid_file, const char *name);
/* Whether a program runs, by the name that the kernel keeps (15 characters of it). Source: /proc/PID/comm. */
bool nvl_program_runs(const struct nvl_root *root, const char *name);
/* The first name server that is reachable from elsewhere, from /etc/resolv.conf, or, where that names only
 * systemd-resolved's 127.0.0.53, from what that one asks; NULL for none. The caller frees. */
char *nvl_nameserver(const struct nvl_root *root);
