/* Which ranges of ids of the host somebody may give to containers: /etc/subuid and /etc/subgid, as
 * newuidmap(1) and newgidmap(1) read them. liblxc runs both where they are installed, for root's containers
 * too. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct nvl_root;

/* False where nsswitch.conf has them come from elsewhere: then no file says. */
bool nvl_subids_are_files(const struct nvl_root *root);
/* Whether `owner` (a name, or `uid` in digits) has all ids from `first` on, `count` of them: in one line of
 * `file` or in several that join. 1, 0; -errno where it is not known. */
int nvl_subids_have(const struct nvl_root *root, const char *file, const char *owner, unsigned uid,
                    uint64_t first, uint64_t count);
