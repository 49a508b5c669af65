/* The loaded driver's GSP firmware, kept for as long as it is loaded.
 *
 * The kernel module asks for nvidia/VERSION/gsp_*.bin of its own version whenever a GPU initialises: after a
 * reset, or when the first program opens it again without a persistence daemon. A package upgrade takes that
 * file away while the old module stays loaded. So it is kept in NVL_FIRMWARE_DIR, and lies in
 * NVL_FIRMWARE_UPDATES, where the kernel looks first, from such an upgrade to the reboot. Source of the
 * order: the kernel's Documentation/driver-api/firmware/fw_search_path.rst. */
#pragma once

#include "base/root.h"

#define NVL_FIRMWARE_INSTALLED "/lib/firmware/nvidia"
#define NVL_FIRMWARE_UPDATES   "/lib/firmware/updates/nvidia"

struct nvl_firmware_result {
    size_t n_files; /* kept, of the loaded version */
    uint64_t bytes; /* of those */
    bool is_placed; /* they lie in NVL_FIRMWARE_UPDATES, since the upgrade took away the installed ones */
    /* what this sync did; with dry_run: would do */
    size_t n_kept, n_placed, n_removed; /* n_removed: from NVL_FIRMWARE_UPDATES */
};

/* `loaded` is the version of the module; a file that has it already is not read. Firmware of other versions
 * is removed again: only what is byte for byte what was kept, so that nobody else's file goes. Where the
 * module's parameter EnableGpuFirmware is 0, or its version has no firmware, there is nothing to keep. */
int nvl_firmware_sync(const struct nvl_root *root, const char *loaded, bool dry_run,
                      struct nvl_firmware_result *result, struct nvl_error *err);
