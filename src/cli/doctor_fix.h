/* doctor --fix: the fixes that are nvlxc's own and safe. */
#pragma once

#include <stdbool.h>

struct nvl_context;
struct nvl_error;

/* Looks for what is wrong as doctor does, shows each such fix, asks unless `yes`, and runs its commands as
 * they are printed, until one fails. 0, also if there is none or the user wants none; -ECANCELED if the user
 * stops it; -EIO if a command failed, after its own output. */
int nvl_doctor_fix(struct nvl_context *ctx, const char *container, bool deep, bool yes,
                   struct nvl_error *err);
