/* The folder that the user named as the driver's (`driver sync --from FOLDER`), for a driver that lies where
 * nvlxc does not look by itself. NVL_DRIVER_FOLDER_FILE has its path in one line; bundle/build.h
 * writes it. */
#pragma once

struct nvl_root;

#define NVL_DRIVER_FOLDER_FILE "/etc/nvlxc/driver-folder"

/* NULL if none is remembered; the caller frees. */
char *nvl_driver_folder(const struct nvl_root *root);
