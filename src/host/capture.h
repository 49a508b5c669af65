/* A host's facts as a tree that `--root` can read: the files that the other parts of this room read, and a
 * list of its device nodes, `nodes` ("dev/nvidia0 c 195 0 0666" a line). No serial numbers beyond the GPU
 * UUID, no names of machines or users, no kernel addresses; of the driver's libraries only the names. */
#pragma once

#include "base/root.h"

/* Fills the empty directory `dirfd`. What the host does not have, or what cannot be read, is left out. */
int nvl_capture(const struct nvl_root *root, int dirfd, struct nvl_error *err);
