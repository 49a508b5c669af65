/* Specifications as files: writes them, and keeps the host's up to date. */
#pragma once

#include "base/root.h"
#include "host/driver_version.h"

/* Replaces the file as a whole if its text differs; *changed says so. Makes only the engines' own folders. */
int nvl_cdi_write(const struct nvl_root *root, const char *path, const char *text, bool *changed,
                  struct nvl_error *err);
/* Other files that the engines read and that also describe NVIDIA's GPUs: a line for each. */
void nvl_cdi_rivals(const struct nvl_root *root, const char *path, struct nvl_strv *warnings);

/* The result for NVL_CDI_FILE. */
struct nvl_cdi_update {
    bool is_ours;       /* it exists, is nvlxc's, and a driver is loaded to fill it with */
    bool changed;       /* or would be */
    char *left_because; /* why it was not updated, for example no GPU now; NULL if it was */
};
/* Rewrites the file with its own capabilities, so that it follows drivers and GPUs. */
int nvl_cdi_update(const struct nvl_root *root, const struct nvl_driver_version *loaded, bool dry_run,
                   struct nvl_cdi_update *update, struct nvl_error *err);
void nvl_cdi_update_clear(struct nvl_cdi_update *update);
