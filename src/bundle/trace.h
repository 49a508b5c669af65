/* The files and folders that a search has looked at, and the state in which it found them: while that is the
 * same, the search would find the same. Not public: for this room. */
#pragma once

#include "base/root.h"
#include "bundle/checksum.h"

struct nvl_trace {
    struct nvl_strv paths;               /* sorted; "PATH/." for a folder that was listed */
    char state[NVL_CHECKSUM_LENGTH + 1]; /* of all: which are there, with their inodes and ctimes */
    int64_t newest;                      /* the latest ctime among them, in nanoseconds since 1970 */
};

/* The trace of all that was asked for (struct nvl_root's `asked`). For a path that is not there stands the
 * first folder of it that is missing, or the one in which it would be. */
void nvl_trace_look(const struct nvl_root *root, const struct nvl_strv *asked, struct nvl_trace *trace);
/* Whether all are as they were: one stat for each. */
bool nvl_trace_holds(const struct nvl_root *root, const struct nvl_trace *trace);
void nvl_trace_clear(struct nvl_trace *trace);
