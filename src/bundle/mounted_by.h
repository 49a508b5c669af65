/* Who has a bundle mounted. Not public: for this room. */
#pragma once

#include "base/root.h"

/* The containers that have the bundle of this version mounted: process namespaces with such a mount in one of
 * their mount namespaces, so that services with a mount namespace of their own do not count again. Sources:
 * /proc/PID/mountinfo (proc(5)), /proc/PID/ns. */
size_t nvl_bundle_users(const struct nvl_root *root, const char *version);
