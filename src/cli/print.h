/* Text output of the commands. */
#pragma once

#include "base/alloc.h"

struct nvl_context;
struct nvl_grant;

/* Prints a line on stdout, made printable; nothing with --quiet or --json. Adds the newline. */
void nvl_say(const struct nvl_context *ctx, const char *fmt, ...) NVL_PRINTF(2, 3);
/* Prints "nvlxc: warning: …" on stderr, made printable, also with --quiet. Adds the newline. */
void nvl_warn(const char *fmt, ...) NVL_PRINTF(1, 2);
/* "; nodes dev; libraries none; exclusive": everything that is not default, except `required`; the caller
 * frees. */
char *nvl_grant_ways_text(const struct nvl_grant *grant);
