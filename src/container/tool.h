/* Running one of the host's tools (LXC's own, the start hook) and taking what it prints. */
#pragma once

#include "base/error.h"

/* `argv[0]` is found by PATH. Its standard output goes to `text` (size bytes, NUL-terminated, cut at the
 * end), its standard error nowhere. Its exit status, 128 + signal, 127 where it could not be started; or
 * -errno. */
int nvl_tool_run(const char *const *argv, char *text, size_t size);
