/* The ways to a driver (driver/ways.h) as `host --drivers` and `host setup --dry-run` show them. */
#pragma once

#include "cli/json.h"
#include "driver/ways.h"

/* A table on stdout, below it which is recommended, and the note. */
void nvl_print_driver_ways(const struct nvl_driver_ways *ways);
/* {"kernel", "drivers": [{"source", "kind", "branch", "version", "or_newer", "flavour", "fits", "why_not",
 * "kernel", "installed", "recommended"}], "note"}; "fits" is null where it is not known. */
json_t *nvl_json_driver_ways(const struct nvl_driver_ways *ways);
