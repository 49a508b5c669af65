/* The folder that the user named as the driver's (`driver sync --from FOLDER`), for a driver that lies where
 * nvlxc does not look by itself. Remembered in NVL_DRIVER_FOLDER_FILE, one line with its path. */
#pragma once

struct nvl_error;
struct nvl_root;

#define NVL_DRIVER_FOLDER_FILE "/etc/nvlxc/driver-folder"

/* NULL if none is remembered; the caller frees. */
char *nvl_driver_folder(const struct nvl_root *root);
/* "" forgets it. Writes nothing if that is remembered already. */
int nvl_driver_folder_remember(const struct nvl_root *root, const char *folder, struct nvl_error *err);
