/* NVIDIA's own drivers, which only the user chooses: a part of driver/choose.h. */
#pragma once

#include "driver/choose.h"

/* The installer that the user has, if its driver fits this kernel and the GPUs. */
void nvl_choose_installer(const struct nvl_driver_need *need, struct nvl_choice *c);
/* Why a driver does not fit this kernel or a GPU; NULL if nothing speaks against it. The caller frees. */
char *nvl_driver_misfit_text(const struct nvl_driver_need *need, const char *version,
                             enum nvl_flavour flavour);
/* NVIDIA's archive: its newest driver, or its newest of the branch that fits. */
void nvl_choose_archive(const struct nvl_driver_need *need, struct nvl_choice *c);
