/* One line on standard error that says what is going on, on a terminal only: it appears after a second, is
 * written anew at most ten times a second, and is gone at the end. Never with --quiet or --json. */
#pragma once

#include "base/alloc.h"

struct nvl_context;

/* What is done now. The first call begins the second. */
void nvl_progress(const struct nvl_context *ctx, const char *fmt, ...) NVL_PRINTF(2, 3);
/* The same for whoever reports by a function: `ctx` is the struct nvl_context. */
void nvl_progress_note(void *ctx, const char *what);
/* Clears the line. Whatever prints a line of its own calls it. */
void nvl_progress_end(void);
