/* Every fix text about drivers: made from where the driver came from (origin.h) and which one fits
 * (choose.h), as lines that work when pasted on that host. A host with the driver of NVIDIA's installer is
 * never told to install a package of Debian's driver: they uninstall the installer's
 * (nvidia-installer-cleanup). Each function appends lines; none where no fix is known. */
#pragma once

#include "bundle/select.h"
#include "driver/run_file.h"

/* The module is not built for this kernel: dkms, or what is there in its place. */
void nvl_advise_build(const struct nvl_driver_need *need, struct nvl_strv *fix);
/* Libraries are here, and no module at all. */
void nvl_advise_module(const struct nvl_driver_need *need, struct nvl_strv *fix);
/* The kernel refuses the module that is here: a key that the firmware does not know signed it. */
void nvl_advise_signing(const struct nvl_driver_need *need, struct nvl_strv *fix);
/* Files of `version` for programs are missing; by Debian's names of their packages, none for those that every
 * program needs. */
void nvl_advise_libraries(const struct nvl_driver_need *need, const char *version,
                          const struct nvl_strv *packages, struct nvl_strv *fix);
/* One line for each of them that is of one of the capabilities, for lists: "video: libnvidia-encode.so.1 is
 * not installed: apt install libnvidia-encode1". */
void nvl_missing_lines(const struct nvl_root *root, const struct nvl_userspace *us,
                       const struct nvl_missing *missing, unsigned capabilities, struct nvl_strv *lines);
/* Libraries of `installed` and a loaded module of `loaded`, which is newer. */
void nvl_advise_mismatch(const struct nvl_driver_need *need, const char *loaded, const char *installed,
                         struct nvl_strv *fix);
/* The loaded version's GSP firmware is gone. */
void nvl_advise_firmware(const struct nvl_driver_need *need, struct nvl_strv *fix);
/* A program that comes with the driver, "nvidia-modprobe": false, and no line, where it cannot be had without
 * touching the driver. */
bool nvl_advise_tool(const struct nvl_driver_need *need, const char *program, struct nvl_strv *fix);
/* Made again, after a change of what modprobe may load. */
void nvl_advise_initramfs(const struct nvl_system *system, struct nvl_strv *fix);
