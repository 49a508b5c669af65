/* NVIDIA's installer, NVIDIA-Linux-*.run, as lines of a fix. */
#pragma once

#include "driver/answers.h"
#include "driver/by_hand.h"

/* NVIDIA's name of it: "NVIDIA-Linux-x86_64-580.95.05.run". */
char *nvl_run_file(const char *version);
/* The headers of the kernel that runs, and of later ones. */
void nvl_advise_headers(const struct nvl_driver_need *need, struct nvl_strv *fix);
/* Removes Debian's driver, which blocks another one. */
void nvl_add_purge(const struct nvl_driver_need *need, struct nvl_strv *fix);
/* Fetches and runs the installer of that version; both texts begin with a blank, or are "". */
void nvl_add_run(const char *version, const char *options, const char *flavour, struct nvl_strv *fix);
/* The option for the kernel module's flavor, after a blank; "" if the installer chooses. From 555 on it has
 * names for both, before that of a folder for the open one. A version of NULL is a new one. */
const char *nvl_run_flavour_option(const char *version, enum nvl_flavour flavour);
/* The chosen one, with everything that its build needs. */
void nvl_add_by_hand(const struct nvl_driver_need *need, const struct nvl_by_hand *h, struct nvl_strv *fix);
/* The installed driver again, whole or its kernel module alone, or a newer one if it does not fit the kernel.
 */
void nvl_add_run_again(const struct nvl_driver_need *need, enum nvl_flavour flavour, bool is_module_only,
                       struct nvl_strv *fix);
/* "6.17.4-2-pve", or the command that prints it. */
const char *nvl_need_kernel(const struct nvl_driver_need *need);
