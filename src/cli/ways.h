/* The ways to a driver (driver/ways.h) as `host --drivers` and `host setup --dry-run` show them. */
#pragma once

#include "cli/command.h"
#include "driver/ways.h"

struct nvl_host;

/* A table on stdout, below it which is recommended, and the note; the short one leaves out NVIDIA's drivers
 * that do not fit. */
void nvl_print_driver_ways(const struct nvl_context *ctx, const struct nvl_driver_ways *ways, bool is_short);
/* Lines for people about the driver as a whole: NVIDIA's host driver for virtual GPUs is loaded, or no driver
 * supports all GPUs. Costs nothing where nvidia-uvm is loaded and each GPU has a driver. */
void nvl_say_driver_notes(const struct nvl_context *ctx, const struct nvl_host *host);
/* {"kernel", "drivers": [{"source", "kind", "branch", "version", "or_newer", "flavour", "fits", "why_not",
 * "kernel", "installed", "recommended"}], "note"}; "fits" is null where it is not known. */
json_t *nvl_json_driver_ways(const struct nvl_driver_ways *ways);
