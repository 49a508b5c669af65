/* Packages for host setup: the names of kernel headers by the kernel's name, of the driver by its flavor and
 * by what the capabilities need; and the command that installs them. */
#pragma once

#include "setup/inventory.h"
#include "setup/steps.h"

/* The package that keeps a kernel of this name up to date: "linux-image-amd64", "proxmox-kernel-6.14"; NULL
 * for a kernel from elsewhere; the caller frees. */
char *nvl_image_package(const struct nvl_system *system, const char *kernel);
/* The packages that NVIDIA's installer needs before it builds; none for another choice. Source:
 * check_development_tools in nvidia-installer. */
void nvl_tool_packages(const struct nvl_setup_facts *facts, const struct nvl_choice *choice,
                       struct nvl_strv *packages);
/* The packages of kernel headers. */
void nvl_header_packages(const struct nvl_setup_facts *facts, const struct nvl_choice *choice,
                         struct nvl_strv *packages);
/* The packages of the driver with what the capabilities need; none if the choice has no packages. */
void nvl_driver_packages(const struct nvl_setup_facts *facts, const struct nvl_choice *choice,
                         unsigned capabilities, struct nvl_strv *packages);

/* Those of `packages` that are not installed. */
void nvl_missing_packages(const struct nvl_setup_facts *facts, const struct nvl_strv *packages,
                          struct nvl_strv *missing);
/* Adds the command that installs them. */
void nvl_setup_step_install(struct nvl_setup_step *step, const struct nvl_strv *packages,
                            const char *on_failure);
