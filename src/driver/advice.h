/* Every fix text about drivers: made from where the driver came from (origin.h) and which one fits
 * (choose.h), as lines that work when pasted on that host. A host with a driver from NVIDIA's installer is
 * never told to install a package of Debian's driver: those packages uninstall the installer's
 * (nvidia-installer-cleanup). Each function appends lines; none if no fix is known. */
#pragma once

#include "bundle/select.h"
#include "driver/run_file.h"

/* The module is not built for this kernel: use dkms, or what the distribution has instead. */
void nvl_advise_build(const struct nvl_driver_need *need, struct nvl_strv *fix);
/* Libraries are installed, but no module. */
void nvl_advise_module(const struct nvl_driver_need *need, struct nvl_strv *fix);
/* The kernel refuses the installed module: it is signed with a key that the firmware does not know. */
void nvl_advise_signing(const struct nvl_driver_need *need, struct nvl_strv *fix);
/* Files of `version` that programs need are missing; given are Debian's names of their packages, none for the
 * files that every program needs. */
void nvl_advise_libraries(const struct nvl_driver_need *need, const char *version,
                          const struct nvl_strv *packages, struct nvl_strv *fix);
/* One line for each missing file of one of the capabilities, for lists: "video: libnvidia-encode.so.1 is not
 * installed: apt install libnvidia-encode1". */
void nvl_missing_lines(const struct nvl_root *root, const struct nvl_userspace *us,
                       const struct nvl_missing *missing, unsigned capabilities, struct nvl_strv *lines);
/* Libraries of `installed` and a loaded module of `loaded`, which is newer. */
void nvl_advise_mismatch(const struct nvl_driver_need *need, const char *loaded, const char *installed,
                         struct nvl_strv *fix);
/* The loaded version's GSP firmware is gone. */
void nvl_advise_firmware(const struct nvl_driver_need *need, struct nvl_strv *fix);
/* A program that comes with the driver, "nvidia-modprobe": false, and no line, if it cannot be installed
 * without touching the driver. */
bool nvl_advise_tool(const struct nvl_driver_need *need, const char *program, struct nvl_strv *fix);
