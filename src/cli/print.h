/* What the commands tell people. */
#pragma once

#include "base/alloc.h"

struct nvl_context;
struct nvl_grant;

/* Lines for people, on stdout, made printable; nothing with --quiet or --json. The last newline is added. */
void nvl_say(const struct nvl_context *ctx, const char *fmt, ...) NVL_PRINTF(2, 3);
/* "nvlxc: warning: …" on stderr, made printable, also with --quiet. The newline is added. */
void nvl_warn(const char *fmt, ...) NVL_PRINTF(1, 2);
/* "; nodes dev; libraries none; exclusive": what is not as usual but `required`; the caller frees. */
char *nvl_grant_ways_text(const struct nvl_grant *grant);
