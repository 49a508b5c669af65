/* Which driver has a PCI function: takes it from one and gives it to another, by sysfs. Source:
 * Documentation/ABI/testing/sysfs-bus-pci (driver_override, unbind, drivers_probe). */
#pragma once

#include <stdbool.h>

struct nvl_error;
struct nvl_root;

/* Gives the function to that driver, whose module is loaded, and nothing else: also where another one would
 * take it, too, since Proxmox VE tells vfio-pci the numbers of every device that it ever passed through.
 * `keeps`: it stays with it for the next boot of a driver, too. NULL or "" as driver: to none. Done already:
 * 0.
 *
 * A driver that does not let go within NVL_REBIND_SECONDS leaves a process behind that waits for it
 * (-ETIMEDOUT): so nothing may have the function open. -EIO if the driver did not take it. */
#define NVL_REBIND_SECONDS 40
int nvl_rebind(const struct nvl_root *root, const char *pci, const char *driver, bool keeps,
               struct nvl_error *err);

/* Loads a driver's module unless sysfs has that driver. */
int nvl_load_pci_driver(const struct nvl_root *root, const char *driver, struct nvl_error *err);
