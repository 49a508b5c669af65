/* A visit to what may never answer: a running container's file systems, a user's home, a driver. Who waits
 * for one of them may be beyond every signal (FUSE, a network), so it must be possible to leave that process
 * behind.
 *
 * At the first visit the program forks: the child goes on in its place, the parent keeps this moment and
 * watches. A visit that takes longer than NVL_VISIT_SECONDS is left behind with its process. The parent says
 * so on standard error, and another child goes on from the same moment; there this visit fails at once, as
 * anything that cannot be read, and everything else is read as always. The parent keeps what a child prints
 * until it has ended, or begins to write: then nothing is done a second time, and the program fails instead.
 *
 * Only root visits: what others read is their own. */
#pragma once

#include <stdbool.h>

#include "base/error.h"

#define NVL_VISIT_SECONDS 10

/* `whom` in words ("container web"); the same words are the same visit. -ETIMEDOUT if it did not answer; then
 * nothing has begun. A visit within a visit has its own time.
 *
 * `mark` is taken over, -1 for none: a file that stands for it, and is locked for as long as the visit lasts.
 * If a process that an earlier program left behind still holds it, -ETIMEDOUT at once: else each run of a
 * timer would leave one more. */
int nvl_visit_begin(const char *whom, int mark);
void nvl_visit_end(void);
/* The visit that has just begun is left behind after so many seconds. */
void nvl_visit_may_take(unsigned seconds);
/* The program is about to write. */
void nvl_visit_writes(void);
/* A child with a time limit of its own runs: its time is not the visit's. In that child nothing is watched.
 */
void nvl_visit_pauses(bool pauses);
void nvl_visit_is_childs(void);
