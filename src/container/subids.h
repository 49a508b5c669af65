/* Which of the host's ids a user may give to containers: /etc/subuid and /etc/subgid, as newuidmap(1) and
 * newgidmap(1) read them. If they are installed, liblxc runs both, for root's containers too. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct nvl_root;

/* False if nsswitch.conf takes them from elsewhere: then no file tells. */
bool nvl_subids_are_files(const struct nvl_root *root);
/* Whether `owner` (a name, or `uid` in digits) has all `count` ids from `first` on: in one line of `file` or
 * in several that join. 1, 0; -errno if that is unknown. */
int nvl_subids_have(const struct nvl_root *root, const char *file, const char *owner, unsigned uid,
                    uint64_t first, uint64_t count);
/* The command that gives them: "echo root:100000:65536 >> /etc/subuid". A second large range for root is
 * given to "0", which newuidmap(1) takes for the same: Incus and LXD map all of 65536 and more ids that a
 * line gives to the name root to the same ones; with two of these Incus starts no unprivileged container
 * (shared/idmap/set_load.go). The caller frees. */
char *nvl_subids_give(const struct nvl_root *root, const char *file, const char *owner, uint64_t first,
                      uint64_t count);
