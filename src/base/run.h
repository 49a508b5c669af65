/* Running one of the host's tools (LXC's own, the start hook) and taking what it prints. */
#pragma once

#include "base/error.h"

#define NVL_TOOL_SECONDS 10 /* enough for LXC's own; who answers them may be hostile */

/* `argv[0]` is found by PATH. Its standard output goes to `text` (size bytes, NUL-terminated, cut at the
 * end), its standard error nowhere. After that many seconds (0: whatever it takes) it is ended by SIGALRM.
 * Its exit status, 128 + signal, 127 where it could not be started; or -errno. */
int nvl_tool_run(const char *const *argv, unsigned seconds, char *text, size_t size);
/* The same for bytes that are no text: *len is how many came, at most size - 1. */
int nvl_tool_read(const char *const *argv, unsigned seconds, char *data, size_t size, size_t *len);
