/* The loaded driver's GSP firmware, kept for as long as it is loaded.
 *
 * The kernel module asks for nvidia/VERSION/gsp_*.bin of its own version whenever a GPU initializes: after a
 * reset, or when the first program opens it again without a persistence daemon. A package upgrade removes
 * that file while the old module stays loaded. So nvlxc keeps it in NVL_FIRMWARE_DIR, and from such an
 * upgrade to the reboot places it in NVL_FIRMWARE_UPDATES, where the kernel looks first. Source of the order:
 * the kernel's Documentation/driver-api/firmware/fw_search_path.rst. */
#pragma once

#include "base/root.h"

#define NVL_FIRMWARE_INSTALLED "/lib/firmware/nvidia"
#define NVL_FIRMWARE_UPDATES   "/lib/firmware/updates/nvidia"

struct nvl_firmware_result {
    size_t n_files; /* kept, of the loaded version */
    uint64_t bytes; /* of those */
    bool is_placed; /* they are in NVL_FIRMWARE_UPDATES, since the upgrade removed the installed ones */
    /* what this sync did; with dry_run: would do */
    size_t n_kept, n_placed, n_removed; /* n_removed: from NVL_FIRMWARE_UPDATES */
};

/* `loaded` is the version of the module; files that are kept already are not read. Firmware of other versions
 * is removed again: only files that equal the kept ones byte for byte, so that nobody else's file goes. If
 * the module's parameter EnableGpuFirmware is 0, or its version has no firmware, there is nothing to keep. */
int nvl_firmware_sync(const struct nvl_root *root, const char *loaded, bool dry_run,
                      struct nvl_firmware_result *result, struct nvl_error *err);
