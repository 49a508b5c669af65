/* The steps of the plan, one function for each family. Not public: for this room. */
#pragma once

#include "setup/plan.h"

/* What the steps are made from. */
struct nvl_setup {
    const struct nvl_setup_facts *facts;
    const struct nvl_choice *choice;
    const struct nvl_strv *headers; /* packages */
    const struct nvl_strv *driver;  /* packages */
    unsigned capabilities;
    struct nvl_setup_plan *plan;
};

/* Appends a step; the reason is taken over. */
struct nvl_setup_step *nvl_setup_step_add(struct nvl_setup_plan *plan, const char *id, const char *title,
                                          enum nvl_setup_state state, char *reason);
/* One more command, its words up to a NULL. */
struct nvl_strv *nvl_setup_step_command(struct nvl_setup_step *step, const char *word, ...)
    __attribute__((sentinel));
/* A whole new file; nothing where it is as it should be. */
bool nvl_setup_step_write(struct nvl_setup_step *step, const char *path, const char *old_text,
                          const char *new_text);

/* What keeps a kernel of this name up to date: "linux-image-amd64", "proxmox-kernel-6.14"; NULL for a kernel
 * of other making; the caller frees. */
char *nvl_image_package(const struct nvl_system *system, const char *kernel);
/* The packages of kernel headers, and of the driver with what the capabilities need. */
void nvl_header_packages(const struct nvl_setup_facts *facts, const struct nvl_choice *choice,
                         struct nvl_strv *packages);
void nvl_driver_packages(const struct nvl_setup_facts *facts, const struct nvl_choice *choice,
                         unsigned capabilities, struct nvl_strv *packages);

/* Those of `packages` that are not installed. */
void nvl_missing_packages(const struct nvl_setup_facts *facts, const struct nvl_strv *packages,
                          struct nvl_strv *missing);
/* Adds the command that installs them. */
void nvl_setup_step_install(struct nvl_setup_step *step, const struct nvl_strv *packages,
                            const char *on_failure);

/* Whether the driver that is loaded is another version than the packages' once the plan is carried out. */
bool nvl_driver_is_pending(const struct nvl_setup *setup);

/* components, backports, update, kernel, headers */
void nvl_steps_apt(struct nvl_setup *setup);
/* blacklist, barriers, claims, driver, module, initramfs */
void nvl_steps_driver(struct nvl_setup *setup);
/* pin, secure-boot, boot, load */
void nvl_steps_boot(struct nvl_setup *setup);
