/* Specifications as files: written, and the host's kept true. */
#pragma once

#include "base/root.h"
#include "host/driver_version.h"

/* Replaces the file as a whole, where its text is another; *changed says so. Only the engines' own folders
 * are made. */
int nvl_cdi_write(const struct nvl_root *root, const char *path, const char *text, bool *changed,
                  struct nvl_error *err);
/* Other files where engines look, which describe NVIDIA's GPUs too: a line for each. */
void nvl_cdi_rivals(const struct nvl_root *root, const char *path, struct nvl_strv *warnings);

/* What became of NVL_CDI_FILE. */
struct nvl_cdi_update {
    bool is_ours;       /* it is there and nvlxc's, and a driver is loaded to fill it with */
    bool changed;       /* or would be */
    char *left_because; /* why it is left as it was; NULL where it is not. No GPU is there now, say */
};
/* Writes it anew with the capabilities that it has, so that it follows drivers and GPUs. */
int nvl_cdi_update(const struct nvl_root *root, const struct nvl_driver_version *loaded, bool dry_run,
                   struct nvl_cdi_update *update, struct nvl_error *err);
void nvl_cdi_update_clear(struct nvl_cdi_update *update);
