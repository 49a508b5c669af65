/* Who holds a lock on a file, from /proc/locks. */
#pragma once

#include <sys/types.h>

/* The process with a lock (flock, fcntl) or a lease on the open file, 0 if none is known. The descriptor may
 * be O_PATH. */
pid_t nvl_lock_holder(int fd);
/* In words: "process 4711 (pct)", "another process"; the caller frees. */
char *nvl_lock_holder_text(int fd);
