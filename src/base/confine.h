/* A process that works on a container's files gives up, for good, what it does not need for that. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Gives up all capabilities but these (bits: 1 << CAP_...), also for programs that it starts: no_new_privs.
 * And system calls that are no part of such work (ptrace, bpf, setns, socket, loading modules, ...): they
 * fail with EPERM, in such programs, too. A kernel without seccomp goes without that. */
int nvl_keep_capabilities(uint64_t keep);

/* Makes the folder its root, takes that user's and group's ids (-1: stays who it is), and gives up all
 * capabilities as above. Closes all descriptors but the standard ones, the folder's, and those of `keep`,
 * which are at most NVL_CONFINED_MAX and may be negative. */
#define NVL_CONFINED_MAX 4
int nvl_confine(int root_fd, uid_t uid, gid_t gid, const int *keep, size_t n_keep);
