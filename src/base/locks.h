/* Waiting for a lock on a file, and who holds it, from /proc/locks. */
#pragma once

#include <sys/types.h>

/* Takes the file's lock (flock), which ends with the descriptor. -ETIMEDOUT if another process still holds it
 * after so many milliseconds. */
int nvl_lock_wait(int fd, unsigned wait_ms);
/* The process with a lock (flock, fcntl) or a lease on the open file, 0 if none is known. The descriptor may
 * be O_PATH. */
pid_t nvl_lock_holder(int fd);
/* In words: "process 4711 (pct)", "another process"; the caller frees. */
char *nvl_lock_holder_text(int fd);
