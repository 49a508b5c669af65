/* Specifications as files: written, and the host's kept true. */
#pragma once

#include "cli/command.h"
#include "host/driver_version.h"

/* Replaces the file as a whole, where its text is another; *changed says so. Only the engines' own folders
 * are made. */
int nvl_cdi_write(const struct nvl_root *root, const char *path, const char *text, bool *changed,
                  struct nvl_error *err);
/* Other files where engines look, which describe NVIDIA's GPUs too: a line for each. */
void nvl_cdi_rivals(const struct nvl_root *root, const char *path, struct nvl_strv *warnings);
/* A part of `driver sync`: NVL_CDI_FILE anew, with the capabilities that it has, where it is there and
 * nvlxc's own; so it follows drivers and GPUs. *json: an object, or null where there is none. */
int nvl_cdi_step(const struct nvl_context *ctx, const struct nvl_driver_version *loaded, bool dry_run,
                 json_t **json, struct nvl_error *err);
