/* A result on its way from the child to its parent. Not public: for this room. */
#pragma once

#include "apply/live.h"

/* All of it, and an end mark: without one the child did not come to its end. */
int nvl_result_send(int fd, const struct nvl_live_result *result);
/* Adds what was sent; -EIO where the end mark is missing. */
int nvl_result_receive(int fd, struct nvl_live_result *result);
