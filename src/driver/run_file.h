/* NVIDIA's installer, NVIDIA-Linux-*.run, as lines of a fix. */
#pragma once

#include "driver/answers.h"

/* The headers of the kernel that runs, and of later ones. */
void nvl_advise_headers(const struct nvl_driver_need *need, struct nvl_strv *fix);
/* Takes Debian's driver away, which is in the way of another one. */
void nvl_add_purge(const struct nvl_driver_need *need, struct nvl_strv *fix);
/* Fetches and runs the installer of that version; both texts begin with a blank, or are "". */
void nvl_add_run(const char *version, const char *options, const char *flavour, struct nvl_strv *fix);
/* The one that was chosen, with all that its build takes. */
void nvl_add_by_hand(const struct nvl_driver_need *need, const struct nvl_by_hand *h, struct nvl_strv *fix);
/* The driver that is here once more, or where it does not fit the kernel a newer one. */
void nvl_add_run_again(const struct nvl_driver_need *need, enum nvl_flavour flavour, const char *options,
                       struct nvl_strv *fix);
/* "6.17.4-2-pve", or the command that says it. */
const char *nvl_need_kernel(const struct nvl_driver_need *need);
