/* Names of packages and modules of the driver, by where it came from. */
#pragma once

#include "driver/answers.h"

/* The name of the driver's module for modprobe: "nvidia-current"; the caller frees. */
char *nvl_module_name(const struct nvl_installed_driver *installed);
/* Debian's package of a series for the main one: "libnvidia-tesla-535-cuda1" for "libcuda1"; with NULL a
 * copy. The caller frees. */
char *nvl_series_package(const char *package, const char *series);
/* The package that has the files of Debian's `package` on this host: of its series, or of NVIDIA's archive.
 * The caller frees. */
char *nvl_package_here(const struct nvl_installed_driver *installed, const char *package);
/* For a first installation from NVIDIA's archive: the set that brings the files of Debian's `package`, for
 * compute or for graphics. Where the set is installed it brings nothing. */
const char *nvl_archive_set(const char *package);
/* The module's package of NVIDIA's archive; for flavor UNKNOWN the installed one, else the open one. With a
 * known flavor `installed` may be NULL. */
const char *nvl_archive_module(const struct nvl_installed_driver *installed, enum nvl_flavour flavour);
/* The version without its epoch: "580.105.08-1" of "1:580.105.08-1"; a part of the argument. */
const char *nvl_skip_epoch(const char *package_version);
/* Appends the packages to purge where this driver has to go: everything that builds on them goes with them.
 * No pattern: nvidia-container-toolkit and the like are somebody else's. */
void nvl_purge_names(const struct nvl_installed_driver *installed, struct nvl_strv *names);
/* Debian's packages for programs without a screen, without the module's; for nvl_series_package. */
extern const char *const nvl_headless_packages[];
extern const size_t nvl_headless_length;
/* Debian's package of the module's source, of a flavor and a series (NULL for the main packages); the caller
 * frees. */
char *nvl_debian_module(enum nvl_flavour flavour, const char *series);
/* Debian's and Proxmox's names of the headers of the running kernel, and of later ones; "" if none is known.
 * The caller frees. */
char *nvl_header_names(const struct nvl_system *system);
