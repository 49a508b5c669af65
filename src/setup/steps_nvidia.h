/* The parts of other steps that only NVIDIA's own drivers have. */
#pragma once

#include "setup/steps.h"

/* The archive's key, its entry in apt's sources, and a pin; no step if it is not chosen. */
void nvl_step_archive(struct nvl_setup *setup);
/* Keeps apt on one of its branches, if the GPUs need that. */
void nvl_step_branch(struct nvl_setup *setup);
/* The installer's command, in the step of the driver. */
void nvl_step_run_installer(struct nvl_setup *setup, struct nvl_setup_step *step);
/* Whether this version of it refuses while nouveau is loaded: after the reboot only. */
bool nvl_installer_must_wait(const struct nvl_setup *setup);
