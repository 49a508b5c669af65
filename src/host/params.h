/* How the driver wants its device nodes: owner and mode. Source: /proc/driver/nvidia/params. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct nvl_error;
struct nvl_root;

struct nvl_params {
    bool modify_device_files; /* ModifyDeviceFiles */
    unsigned uid, gid;        /* DeviceFileUID, DeviceFileGID */
    unsigned mode;            /* DeviceFileMode, printed there in decimal: 438 is 0666 */
};

/* What cannot be read keeps the driver's own defaults: 1, 0:0, 0666. */
void nvl_params_parse(const char *text, size_t len, struct nvl_params *params);
/* *text gets the file's content, the caller's; NULL if it cannot be read. */
void nvl_params_read(const struct nvl_root *root, struct nvl_params *params, char **text);
